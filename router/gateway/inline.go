package gateway

import "bytes"

// split cuts a command that was typed by hand into its words; not ok: a quote is not where a word begins or ends. It takes
// memory for the words only: a line may have many, and everybody may send one.
func split(line []byte) (words [][]byte, ok bool) {
	for {
		if line = bytes.TrimLeft(line, blanks); len(line) == 0 {
			return words, true
		}
		var word []byte
		if word, line, ok = cutWord(line); !ok {
			return nil, false
		}
		words = append(words, word)
	}
}

const blanks = " \t\r"

// cutWord takes the word off a line that begins with it. In quotes of either kind, \ gives the next byte a meaning or
// takes it away.
func cutWord(line []byte) (word, rest []byte, ok bool) {
	quote := line[0]
	if quote != '"' && quote != '\'' {
		end := bytes.IndexAny(line, blanks)
		if end < 0 {
			end = len(line)
		}
		return bytes.Clone(line[:end]), line[end:], !bytes.ContainsAny(line[:end], `"'`)
	}
	word = []byte{}
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == quote:
			rest = line[i+1:]
			return word, rest, len(rest) == 0 || bytes.IndexByte([]byte(blanks), rest[0]) >= 0
		case c == '\\' && i+1 < len(line):
			i++
			word = append(word, unescape(line[i]))
		default:
			word = append(word, c)
		}
	}
	return nil, nil, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
