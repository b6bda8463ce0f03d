package gateway_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// A command that writes several keys says "not applied" only if none was written.
func TestPartlyWrittenIsUncertain(t *testing.T) {
	n := newOneNode(t)
	address := start(t, n)
	const uncertain, overloaded = "-UNCERTAIN ", "-OVERLOADED why"
	for _, c := range []struct {
		name    string
		command string
		refuse  map[string]messages.Code
		want    string
	}{
		{"all written", "MSET a 1 b 2", nil, "+OK"},
		{"the second refused", "MSET a 1 b 2", map[string]messages.Code{"b": messages.Code_OVERLOADED}, uncertain + "1 of 2 keys were written, of 0"},
		{"the first refused", "MSET a 1 b 2", map[string]messages.Code{"a": messages.Code_UNAVAILABLE}, uncertain + "1 of 2 keys were written, of 0"},
		{"a key that is never taken", "MSET a 1 b 2", map[string]messages.Code{"a": messages.Code_INVALID}, uncertain + "1 of 2 keys were written, of 0"},
		{"all refused", "MSET a 1 b 2", map[string]messages.Code{"a": messages.Code_OVERLOADED, "b": messages.Code_UNAVAILABLE}, overloaded},
		{"one refused, of one it is not known", "MSET a 1 b 2",
			map[string]messages.Code{"a": messages.Code_OVERLOADED, "b": messages.Code_UNCERTAIN}, uncertain + "0 of 2 keys were written, of 1"},
		{"deleted and refused", "DEL b a", map[string]messages.Code{"a": messages.Code_OVERLOADED}, uncertain + "1 of 2 keys were written, of 0"},
		{"not there and refused", "DEL nothing a", map[string]messages.Code{"a": messages.Code_OVERLOADED}, uncertain},
		{"refused, of one key", "DEL a", map[string]messages.Code{"a": messages.Code_OVERLOADED}, overloaded},
		{"some read", "MGET a b", map[string]messages.Code{"b": messages.Code_OVERLOADED}, overloaded},
		{"some seen", "EXISTS a b", map[string]messages.Code{"b": messages.Code_OVERLOADED}, overloaded},
	} {
		n.mu.Lock()
		n.refuse = c.refuse
		n.mu.Unlock()
		require.True(t, strings.HasPrefix(talk(t, address, c.command)[0], c.want), "%s: %q", c.name, talk(t, address, c.command))
	}
}

// all sends bytes, and gives everything that comes until the connection ends.
func all(t *testing.T, address, text string) string {
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}

// A web page cannot write to a node that listens on the loopback interface of the machine that shows the page.
func TestHTTPEndsTheConnection(t *testing.T) {
	address := start(t, newOneNode(t))
	for _, first := range []string{"POST / HTTP/1.1\r\n", "post /x\r\n", "Host: localhost:6379\r\n"} {
		require.Empty(t, all(t, address, first+"\r\nSET k written\r\nQUIT\r\n"))
	}
	require.Equal(t, "$-1\r\n+OK\r\n", all(t, address, "GET k\r\nQUIT\r\n"))
}

// The commands of a transaction are not carried out one by one: transactions are not supported.
func TestNothingOfATransactionIsWritten(t *testing.T) {
	address := start(t, newOneNode(t))
	answers := talk(t, address, "SET a old", "MULTI", "SET a new", "INCR n", "NOSUCH", "PING", "MULTI", "EXEC", "MGET a n", "SET a 1", "EXEC", "DISCARD")
	for i, want := range []string{
		"+OK", "-ERR MULTI is not", "-ERR not carried", "-ERR not carried", "-ERR not carried", "-ERR not carried", "-ERR MULTI is not",
		"-EXECABORT ", "*2\r\n$3\r\nold\r\n$-1", "+OK", "-ERR EXEC without MULTI", "-ERR DISCARD without MULTI",
	} {
		require.True(t, strings.HasPrefix(answers[i], want), "%d: %q", i, answers[i])
	}
	answers = talk(t, address, "MULTI", "SET a 2", "DISCARD", "GET a", "MULTI", "QUIT")
	require.Equal(t, []string{"+OK\r\n", "$1\r\n1\r\n"}, answers[2:4])
	require.Equal(t, "+OK\r\n", answers[5])
	require.Equal(t, []string{"$1\r\n1\r\n"}, talk(t, address, "GET a"), "another connection is in none")
}
