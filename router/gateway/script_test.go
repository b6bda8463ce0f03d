package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// request is bytes that a client sends, and how they are shown to people and to the table of docs/RESP.md.
type request struct{ bytes, shown string }

// array is a request as clients send it.
func array(words ...string) request {
	out := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		out += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return request{out, shown(words)}
}

func shown(words []string) string {
	var all []string
	for _, w := range words {
		switch {
		case w == "":
			w = "''"
		case len(w) > 200:
			w = fmt.Sprintf("<%d>", len(w))
		default:
			w = strings.Trim(fmt.Sprintf("%q", w), `"`)
		}
		all = append(all, w)
	}
	return strings.Join(all, " ")
}

// script makes up what a client sends: mostly commands that make sense on few keys, some that nearly do, and noise.
type script struct{ *rand.Rand }

func (s script) one(of ...string) string { return of[s.IntN(len(of))] }

func (s script) chance(percent int) bool { return s.IntN(100) < percent }

func (s script) noise(alphabet string, most int) string {
	out := make([]byte, s.IntN(most+1))
	for i := range out {
		out[i] = alphabet[s.IntN(len(alphabet))]
	}
	return string(out)
}

var allBytes = func() string {
	var b [256]byte
	for i := range b {
		b[i] = byte(i)
	}
	return string(b[:])
}()

func (s script) key() string {
	if s.chance(5) {
		return s.one(s.noise(allBytes, 12), "", "k with blanks", "{tag}k", strings.Repeat("k", 1024), strings.Repeat("k", 1025), "k\r\n*1")
	}
	return s.one("a", "b", "k1", "k2", "n")
}

func (s script) number() string {
	return s.one("0", "1", "-1", "3", "+3", "03", "-0", "00", "", "x", "1.5", " 1", "1 ", "1\x00", "9223372036854775807", "9223372036854775808",
		"-9223372036854775808", "-9223372036854775809", "99999999999999999999999", "0x10", "1e3", "4611686018427387904")
}

func (s script) value() string {
	switch s.IntN(4) {
	case 0:
		return s.number()
	case 1:
		return s.noise(allBytes, 40)
	case 2:
		return strings.Repeat("v", s.IntN(40000))
	}
	return s.one("v", "", "hello", "a\r\nb")
}

func (s script) pattern() string {
	return s.one("*", "k?", "k[0-9]", "[^a]", "nosuch*", s.noise(`*?[]^-\abk12`, 8), s.noise(`*?[]^-\abk12`, 8), s.noise(allBytes, 5))
}

// words is a command.
func (s script) words() []string {
	keys := func(n int) (all []string) {
		for range 1 + s.IntN(n) {
			all = append(all, s.key())
		}
		return all
	}
	switch s.IntN(22) {
	case 0, 1, 2:
		return append([]string{"SET", s.key(), s.value()}, s.setOptions()...)
	case 3, 4, 5:
		return []string{s.one("GET", "STRLEN", "TYPE", "GETDEL", "INCR", "DECR"), s.key()}
	case 6, 7:
		return []string{s.one("INCRBY", "DECRBY"), s.key(), s.number()}
	case 8:
		return []string{s.one("APPEND", "SETNX"), s.key(), s.value()}
	case 9, 10:
		return append([]string{s.one("MGET", "DEL", "EXISTS")}, keys(4)...)
	case 11:
		words := []string{"MSET"}
		for _, key := range keys(3) {
			words = append(words, key, s.value())
		}
		return words
	case 12, 13:
		words := []string{"SCAN", s.one("0", "0", "0", "", "+0", "-0", "x", "0x", "99999999999999999999"), "COUNT", "10000"}
		for range s.IntN(3) {
			words = append(words, s.one("MATCH", "match", "TYPE", "COUNT", "NOSUCH", "MATCH\x00"), s.one(s.pattern(), "string", "list", "10000", "+1", "0"))
		}
		return words
	case 14:
		return []string{"KEYS", s.pattern()}
	case 15:
		return s.connection()
	case 16:
		return s.describe()
	case 17:
		return []string{s.one("PING", "DBSIZE", "ECHO", "SELECT", "INFO", "COMMAND", "CLIENT", "READONLY", "QUIT ", "EXEC", s.one("QUIT", "PING"), "DISCARD")}
	case 18:
		return []string{s.one("PING", "ECHO", "SELECT"), s.one(s.value(), s.number())}
	case 19: // what only the other side may know
		return []string{s.one("LPUSH", "EXPIRE", "NOSUCH", s.noise(allBytes, 10), strings.Repeat("x", 200)), s.key(), s.value()}
	}
	return []string{"GET", s.key()}
}

func (s script) setOptions() (words []string) {
	for range s.IntN(4) {
		words = append(words, s.one("NX", "xx", "GET", "KEEPTTL", "XX", "nx\x00", "NOSUCH", ""))
	}
	if s.chance(10) {
		words = append(words, s.one("EX", "px", "EXAT", "PXAT"), s.number())
	}
	if s.chance(5) {
		words = append(words, s.one("EX", "KEEPTTL", "PX"))
	}
	return words
}

func (s script) connection() []string {
	switch s.IntN(5) {
	case 0:
		words := []string{"HELLO", s.one("2", "3", "3", "4", "x", "03", "")}
		for range s.IntN(3) {
			words = append(words, s.one("AUTH", "SETNAME", "default", "x", "NOSUCH", "a b", ""))
		}
		return words
	case 1:
		return [][]string{{"AUTH", s.one("x", "default", "")}, {"AUTH", s.one("default", "x"), s.value()}, {"AUTH", "a", "b", "c"}}[s.IntN(3)]
	case 2:
		return []string{"CLIENT", "SETNAME", s.one("me", "", "a b", "a\nid=9", s.noise(allBytes, 6))}
	case 3:
		return []string{"CLIENT", s.one("GETNAME", "getname", "ID", "INFO", "NOSUCH", s.noise(allBytes, 4))}
	}
	return append([]string{"CLIENT", "LIST"}, s.one("TYPE", "ID", "x"), s.one("normal", "pubsub", "x", "999999", "0", ""))
}

func (s script) describe() []string {
	switch s.IntN(4) {
	case 0:
		return append([]string{"COMMAND", s.one("GETKEYS", "GETKEYSANDFLAGS")}, s.words()...)
	case 1:
		return []string{"COMMAND", "INFO", s.one("get", "GET", "mset", "client|id", "nosuch", "incr", "keys", s.noise(allBytes, 4))}
	case 2:
		return []string{"COMMAND", "LIST", "FILTERBY", s.one("PATTERN", "ACLCAT", "MODULE", "x"), s.one("ge[t]", "nosuch", "@read", "x")}
	}
	return []string{"INFO", s.one("nosuch", "server", "x", "")}
}

// request makes up the next one.
func (s script) request() request {
	switch n := s.IntN(100); {
	case n < 4:
		return request{s.one("\r\n", "  \r\n", "\n", "*0\r\n", "*-1\r\n", "*-7\r\n", "\t\r\v\f\r\n"), "nothing"}
	case n < 8: // lines that are typed by somebody who has fallen asleep
		line := s.noise(`abGET "'\x41n `+"\t\r\v\xff", 24) + s.one("\n", "\r\n")
		return request{line, fmt.Sprintf("line %q", line)}
	case n < 9:
		return s.garbage()
	case n < 11:
		return s.transaction()
	}
	words := s.words()
	for s.chance(8) {
		s.spoil(&words)
	}
	if s.chance(30) {
		return s.typed(words)
	}
	return array(words...)
}

// spoil makes a command wrong, or another one.
func (s script) spoil(words *[]string) {
	w := *words
	at := s.IntN(len(w))
	switch s.IntN(4) {
	case 0:
		if len(w) > 1 {
			*words = w[:len(w)-1]
		}
	case 1:
		*words = append(w, s.one(s.key(), s.value(), s.number()))
	case 2:
		w[at] = strings.ToLower(w[at])
	case 3:
		w[at] += s.noise(allBytes, 3)
	}
}

// typed is a command in one line, with quotes where they are needed, and sometimes where they are not.
func (s script) typed(words []string) request {
	var out []string
	for _, w := range words {
		switch {
		case regexp.MustCompile(`^[!#-&(-~]+$`).MatchString(w) && s.chance(70):
			out = append(out, w)
		case !strings.ContainsAny(w, "'\\\n\x00") && s.chance(50):
			out = append(out, "'"+w+"'")
		default:
			out = append(out, s.quoted(w))
		}
	}
	line := s.one("", " ", "\t") + strings.Join(out, s.one(" ", "  ", "\t")) + s.one("\n", "\r\n", " \r\n")
	if len(line) > 60000 {
		return array(words...)
	}
	return request{line, shown(words)}
}

func (s script) quoted(word string) string {
	out := `"`
	for i := range len(word) {
		switch c := word[i]; {
		case c == '\n' && s.chance(50):
			out += `\n`
		case c == '"' || c == '\\' || c == '\n' || c == 0 || s.chance(5):
			out += fmt.Sprintf(`\x%02x`, c)
		default:
			out += string([]byte{c})
		}
	}
	return out + `"`
}

// garbage is no RESP: where the next command begins is not known behind it.
func (s script) garbage() request {
	line := s.one("*x", "*+1", "*01", "*1x", "*", "*99999999999", "*-", "*1\r\n:1", "*1\r\n$-1", "*1\r\n$x", "*1\r\n$+4", "*1\r\n$04", "*1\r\n", "*1\r\n\xff",
		"*1\r\n$99999999999", "*1\r\n*1", "\"open", "'open", `"a"b`, `'a'"b"`, `"\x4`, `"\`) + "\r\n"
	return request{line, fmt.Sprintf("raw %q", line)}
}

// transaction is one request: what is inside of one has no answers of its own.
func (s script) transaction() request {
	all := array("MULTI")
	for range s.IntN(4) {
		next := array(s.words()...)
		all.bytes, all.shown = all.bytes+next.bytes, all.shown+"; "+next.shown
	}
	last := array(s.one("EXEC", "DISCARD", "DISCARD"))
	return request{all.bytes + last.bytes, all.shown + "; " + last.shown}
}
