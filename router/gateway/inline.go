package gateway

import (
	"bytes"
	"strconv"
)

// splitInline splits an inline command into its words, as Redis does. ok is false if a quote is not closed, or if other text follows
// the quote that ends a word. It allocates only the words: a line may hold many, and anyone may send one.
func splitInline(line []byte) (words [][]byte, ok bool) {
	for {
		if line = bytes.TrimLeft(line, spaces); len(line) == 0 {
			return words, true
		}
		var word []byte
		if word, line, ok = nextWord(line); !ok {
			return nil, false
		}
		words = append(words, word)
	}
}

const (
	spaces   = " \t\r\v\f" // characters before words and behind quotes
	wordEnds = " \t\r"     // characters that end a word
)

// nextWord takes the word off a line that begins with it. A word ends at a space, or with its first quoted part.
func nextWord(line []byte) (word, rest []byte, ok bool) {
	end := bytes.IndexAny(line, wordEnds+`"'`)
	if end < 0 {
		return bytes.Clone(line), nil, true
	}
	word = append([]byte{}, line[:end]...)
	if quote := line[end]; quote == '"' || quote == '\'' {
		for rest = line[end+1:]; len(rest) > 0 && rest[0] != quote; {
			b, size := unquote(rest, quote)
			word, rest = append(word, b), rest[size:]
		}
		if len(rest) == 0 || len(rest) > 1 && bytes.IndexByte([]byte(spaces), rest[1]) < 0 {
			return nil, nil, false
		}
		return word, rest[1:], true
	}
	return word, line[end:], true
}

// unquote gives the byte that quoted text begins with, and the length of its representation.
func unquote(text []byte, quote byte) (b byte, size int) {
	switch {
	case text[0] != '\\' || len(text) == 1:
		return text[0], 1
	case quote == '\'':
		if text[1] == '\'' {
			return '\'', 2
		}
		return '\\', 1
	case text[1] == 'x' && len(text) >= 4:
		if n, err := strconv.ParseUint(string(text[2:4]), 16, 8); err == nil {
			return byte(n), 4
		}
	}
	if at := bytes.IndexByte([]byte("nrtba"), text[1]); at >= 0 {
		return "\n\r\t\b\a"[at], 2
	}
	return text[1], 2
}
