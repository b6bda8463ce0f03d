package gateway_test

import (
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/router/gateway"
)

// A command that changes the protocol of its connection affects its own reply and those behind it, also within a pipeline.
func TestHelloSwitchesInAPipeline(t *testing.T) {
	address := start(t, newOneNode(t))
	hello := "HELLO 3\r\nGET k\r\nHELLO 2\r\nGET k\r\nHELLO 3\r\nHELLO 4\r\nCLIENT GETNAME\r\nHELLO\r\nQUIT\r\n"
	got := regexp.MustCompile(`:\d+\r\n\$4\r\nmode`).ReplaceAllString(all(t, address, hello), ":id\r\n$$4\r\nmode")
	answer := func(kind, proto string) string {
		return kind + "\r\n$6\r\nserver\r\n$5\r\neraft\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:" + proto +
			"\r\n$2\r\nid\r\n:id\r\n$4\r\nmode\r\n$7\r\ncluster\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
	}
	require.Equal(t, answer("%7", "3")+"_\r\n"+answer("*14", "2")+"$-1\r\n"+answer("%7", "3")+
		"-NOPROTO unsupported protocol version\r\n_\r\n"+answer("%7", "3")+"+OK\r\n", got)
}

func TestInfo(t *testing.T) {
	n := newOneNode(t)
	g, err := gateway.Start(gateway.Options{Listen: "127.0.0.1:0", Backend: n, MaxConnections: 7, Info: func(g *gateway.Gateway) []gateway.Section {
		require.Equal(t, 7, g.Stats().MaxClients)
		return []gateway.Section{{Name: "Server", Text: "a:1\r\n"}, {Name: "CPU", Text: "b:2\r\n"}}
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	c := redis.NewClient(&redis.Options{Addr: g.Address()})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	for _, want := range []struct {
		text     string
		sections []string
	}{
		{"# Server\r\na:1\r\n", []string{"SERVER"}},
		{"# Server\r\na:1\r\n\r\n# CPU\r\nb:2\r\n", []string{"cpu", "nosuch", "server", "cpu"}},
		{"", []string{"nosuch"}},
		{"# Server\r\na:1\r\n\r\n# CPU\r\nb:2\r\n\r\n# Keyspace\r\n", nil},
		{"# Server\r\na:1\r\n\r\n# CPU\r\nb:2\r\n\r\n# Keyspace\r\n", []string{"everything"}},
	} {
		text, err := c.Info(t.Context(), want.sections...).Result()
		require.NoError(t, err)
		require.Equal(t, want.text, text, want.sections)
	}
	stats := g.Stats()
	require.Equal(t, 1, stats.Clients)
	require.EqualValues(t, 1, stats.Connections)
	require.GreaterOrEqual(t, stats.Commands, uint64(5))
	require.Positive(t, stats.InputBytes)
	require.Positive(t, stats.OutputBytes)
}

// INFO never waits until keys are counted: it is used to check whether a node is alive.
func TestInfoCountsKeysInTheBackground(t *testing.T) {
	n := newOneNode(t)
	address := start(t, n)
	talk(t, address, "SET a 1", "SET b 2")
	require.Eventually(t, func() bool {
		return talk(t, address, "INFO keyspace")[0] == "$44\r\n# Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\n\r\n"
	}, 10*time.Second, time.Millisecond)
	n.mu.Lock()
	defer n.mu.Unlock() // nobody gets an answer now
	require.Contains(t, talk(t, address, "INFO")[0], "keys=2")
}

func TestClientList(t *testing.T) {
	address := start(t, newOneNode(t))
	c := redis.NewClient(&redis.Options{Addr: address, ClientName: "first", MaxActiveConns: 1})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	info, err := c.ClientInfo(t.Context()).Result()
	require.NoError(t, err)
	require.Equal(t, "first", info.Name)
	require.Equal(t, 3, info.Resp)
	require.Equal(t, address, info.LAddr)
	require.Equal(t, "client|info", info.LastCmd)

	lists := talk(t, address, "PING", "CLIENT LIST", "CLIENT LIST TYPE normal", "CLIENT LIST TYPE replica")
	require.Regexp(t, `^\$\d+\r\nid=1 addr=127\.0\.0\.1:\d+ laddr=\S+ name=first age=0 .* cmd=client\|info .* resp=3\n`+
		`id=2 .* name= age=0 idle=0 flags=N .* multi=-1 cmd=client\|list .* resp=2\n\r\n$`, lists[1])
	require.Equal(t, lists[1], lists[2])
	require.Equal(t, "$0\r\n\r\n", lists[3])
	byID := talk(t, address, "MULTI", "EXEC", "CLIENT LIST ID 1 99 3")[2]
	require.Contains(t, byID, "id=1 ")
	require.Contains(t, byID, "id=3 ")
	require.NotContains(t, byID, "id=2 ")
}

// A connection above the limit is refused with an error, and counted.
func TestConnectionsAreBounded(t *testing.T) {
	g, err := gateway.Start(gateway.Options{Listen: "127.0.0.1:0", Backend: newOneNode(t), MaxConnections: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	first, err := net.Dial("tcp", g.Address())
	require.NoError(t, err)
	defer first.Close()
	require.Eventually(t, func() bool { return g.Stats().Clients == 1 }, 10*time.Second, time.Millisecond)
	require.Equal(t, "-ERR max number of clients reached\r\n", all(t, g.Address(), ""))
	require.EqualValues(t, 1, g.Stats().Rejected)
}

// Every command has a summary, and HELP lists the subcommands.
func TestCommandsAreDocumented(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: start(t, newOneNode(t))})
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	real := redis.NewClient(&redis.Options{Addr: redisServer(t)})
	t.Cleanup(func() { require.NoError(t, real.Close()) })
	ctx := t.Context()
	docs, err := c.Do(ctx, "COMMAND", "DOCS").Result()
	require.NoError(t, err)
	count, err := c.Do(ctx, "COMMAND", "COUNT").Int()
	require.NoError(t, err)
	require.Len(t, docs, count)
	sameDocs(t, docs.(map[any]any), func(name string) map[any]any {
		theirs, err := real.Do(ctx, "COMMAND", "DOCS", name).Result()
		require.NoError(t, err)
		doc, _ := theirs.(map[any]any)[name].(map[any]any)
		return doc
	})
	one, err := c.Do(ctx, "COMMAND", "DOCS", "get", "client|id", "nosuch").Result()
	require.NoError(t, err)
	require.Len(t, one, 2)
	infos, err := c.Command(ctx).Result()
	require.NoError(t, err)
	require.Len(t, infos, count)
	require.EqualValues(t, 2, infos["mset"].StepCount)
	for _, container := range []string{"CLIENT", "COMMAND", "CLUSTER"} {
		lines, err := c.Do(ctx, container, "HELP").StringSlice()
		require.NoError(t, err)
		require.Equal(t, container+" has these subcommands:", lines[0])
		require.Contains(t, lines, "INFO")
	}
}

// sameDocs holds what COMMAND DOCS tells against a real Redis; the summaries are our own. redis-cli dies of a command without a group.
func sameDocs(t *testing.T, docs map[any]any, redis func(name string) map[any]any) {
	for name, doc := range docs {
		ours, theirs := doc.(map[any]any), redis(name.(string))
		require.NotEmpty(t, ours["summary"], name)
		if theirs == nil {
			theirs = map[any]any{"since": "7.2.0", "group": "connection"} // CLIENT SETINFO
			require.Equal(t, "client|setinfo", name)
		}
		require.Equal(t, theirs["since"], ours["since"], name)
		require.Equal(t, theirs["group"], ours["group"], name)
		if subs, ok := ours["subcommands"].(map[any]any); ok {
			sameDocs(t, subs, redis)
		}
	}
}
