package messages

// Glob tells whether a pattern matches all of a key, byte by byte, with the meaning that Redis gives to patterns:
//
//   - any bytes, also none
//     ?      one byte
//     [abc]  one of the bytes; [a-c] one of a range, in either order; [^abc] one that is not among them
//     \x     the byte x itself, also within brackets
//
// No pattern is an error: brackets that are never closed reach to the end. It takes time proportional to the product
// of both lengths at worst.
func Glob(pattern, key []byte) bool {
	p, k := 0, 0
	star, retry := -1, 0 // the pattern behind the last *, and where in the key that * may end next
	for k < len(key) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			star, retry = p, k
			continue
		}
		if p < len(pattern) {
			if next, ok := globByte(pattern, p, key[k]); ok {
				p, k = next, k+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		retry++
		p, k = star, retry
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// globByte matches one byte against the element of the pattern at p, which is no *, and gives where the next begins.
func globByte(pattern []byte, p int, b byte) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return globClass(pattern, p+1, b)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, pattern[p] == b
}

// globClass matches one byte against what stands between brackets, from p on.
func globClass(pattern []byte, p int, b byte) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	for p < len(pattern) && pattern[p] != ']' {
		low, high := pattern[p], pattern[p]
		switch left := len(pattern) - p; {
		case low == '\\' && left >= 2:
			p++
			low, high = pattern[p], pattern[p]
		case left >= 3 && pattern[p+1] == '-':
			p += 2
			low, high = min(low, pattern[p]), max(low, pattern[p])
		}
		ok = ok || low <= b && b <= high
		p++
	}
	return min(p+1, len(pattern)), ok != not
}

// GlobPrefix is what every key starts with that a pattern matches: the pattern up to its first special byte.
func GlobPrefix(pattern []byte) []byte {
	for i, b := range pattern {
		switch b {
		case '*', '?', '[', '\\':
			return pattern[:i]
		}
	}
	return pattern
}
