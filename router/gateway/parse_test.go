package gateway

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// A reply about the node takes no memory until it is written: a client may ask a thousand times in one pipeline, and not read.
func TestRepliesAreMadeWhenTheyAreWritten(t *testing.T) {
	server, other := net.Pipe()
	t.Cleanup(func() { server.Close(); other.Close() })
	g := &Gateway{connections: map[net.Conn]*client{}, options: Options{
		Info:     func(*Gateway) []Section { return []Section{{"Server", strings.Repeat("x", 100_000)}} },
		Topology: func() Topology { return Topology{Config: &messages.Config{Owners: make([]uint64, 16384)}} },
	}}
	for i := range 1000 {
		conn := counted{server, &stats{}} // a key of its own
		g.connections[conn] = newClient(uint64(i), conn)
	}
	cl := newClient(1000, server)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, line := range []string{"CLIENT LIST", "INFO", "INFO server", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "COMMAND", "COMMAND DOCS"} {
		for range maxBatch {
			c := g.parse(cl, rawCommand{args: fields(line)})
			require.NotNil(t, c.render, line)
			require.Empty(t, c.refused, line)
		}
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
	c := g.parse(cl, rawCommand{args: fields("CLIENT LIST")})
	require.Greater(t, c.replyBytes(0), 100*len(g.connections), "there must be room for it")
	require.Equal(t, 1000, strings.Count(g.list(cl.connectedAt, func(*client) bool { return true }), "\n"), fmt.Sprint(len(g.connections)))
}

func fields(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		args = append(args, []byte(w))
	}
	return args
}
