package messages_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abcd", false},
		{"*a*b*", "xxaxxbxx", true}, {"*a*b", "ba", false}, {"h?llo", "hello", true}, {"h?llo", "hllo", false},
		{"h[ae]llo", "hallo", true}, {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true}, {"h[^e]llo", "hello", false},
		{"h[a-c]llo", "hbllo", true}, {"h[c-a]llo", "hbllo", true}, {"h[a-c]llo", "hdllo", false}, {`h\*llo`, "h*llo", true},
		{`h\*llo`, "hello", false}, {`[\]]`, "]", true}, {`[\-x]`, "-", true}, {"[]", "a", false}, {"[^]", "a", true},
		{"[abc", "b", true}, {"[abc", "d", false}, {`a\`, `a\`, true}, {"a\x00*", "a\x00b", true}, {"a**", "a", true},
	} {
		require.Equal(t, c.want, messages.Glob([]byte(c.pattern), []byte(c.key)), "%q on %q", c.pattern, c.key)
	}
	require.Equal(t, "user:", string(messages.GlobPrefix([]byte("user:*:x"))))
	require.Equal(t, "all", string(messages.GlobPrefix([]byte("all"))))
}

func FuzzGlob(f *testing.F) {
	f.Add([]byte("a*[b-c]?"), []byte("axbc"))
	f.Fuzz(func(t *testing.T, pattern, key []byte) {
		if messages.Glob(pattern, key) {
			require.Equal(t, messages.GlobPrefix(pattern), key[:len(messages.GlobPrefix(pattern))])
		}
	})
}
