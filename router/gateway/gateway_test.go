package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/router/gateway"
	"github.com/eraft-io/eraft/shardkv"
)

// oneNode answers with the production state machine, without a cluster around it.
type oneNode struct {
	mu       sync.Mutex
	m        *shardkv.Machine
	engine   *memory.Engine
	index    uint64
	fail     *messages.Reply
	refuse   map[string]messages.Code // operations on these keys
	from     []messages.ReadFrom      // of each Get
	asked    int                      // operations
	answered int                      // bytes
}

func newOneNode(t *testing.T) *oneNode {
	n := &oneNode{m: shardkv.New(1, 1), engine: memory.New()}
	require.NoError(t, n.m.Open(n.engine))
	n.apply(&messages.Command{Op: &messages.Command_Shard{Shard: &messages.ShardCommand{
		Op: &messages.ShardCommand_CreateBuckets{CreateBuckets: &messages.CreateBuckets{ConfigVersion: 1, Buckets: []uint32{0}}},
	}}})
	return n
}

type tx struct {
	persistence.Reader
	e *memory.Engine
}

func (x tx) write(f func(*persistence.Batch)) {
	b := new(persistence.Batch)
	f(b)
	if err := x.e.Write(b, false); err != nil {
		panic(err)
	}
}
func (x tx) Put(k, v []byte) { x.write(func(b *persistence.Batch) { b.Put(k, v) }) }
func (x tx) Delete(k []byte) { x.write(func(b *persistence.Batch) { b.Delete(k) }) }
func (x tx) DeletePrefix(p []byte) {
	x.write(func(b *persistence.Batch) { b.DeleteRange(p, persistence.PrefixEnd(p)) })
}

func (n *oneNode) apply(c *messages.Command) *messages.Reply {
	n.index++
	encoded, err := proto.Marshal(c)
	if err != nil {
		panic(err)
	}
	r, err := n.m.Apply(tx{n.engine, n.engine}, persistence.Position{Index: n.index}, encoded)
	if err != nil {
		panic(err)
	}
	return r
}

func (n *oneNode) Ask(op proto.Message, _ time.Duration, room int, answered func(*messages.Reply)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	done := func(r *messages.Reply) {
		if bytes := messages.ReplyBytes(r); room > 0 && r.Code == messages.Code_OK && bytes > room {
			answered(&messages.Reply{Code: messages.Code_OVERLOADED, Text: "larger", NeededBytes: uint64(bytes)})
			return
		}
		n.answered += messages.ReplyBytes(r)
		answered(r)
	}
	if n.fail != nil {
		done(n.fail)
		return
	}
	if keyed, ok := op.(interface{ GetKey() []byte }); ok {
		if code, ok := n.refuse[string(keyed.GetKey())]; ok {
			done(&messages.Reply{Code: code, Text: "why"})
			return
		}
	}
	switch o := op.(type) {
	case *messages.Get, *messages.Scan:
		query := &messages.Query{}
		switch o := op.(type) {
		case *messages.Get:
			n.from = append(n.from, o.From)
			query.Op = &messages.Query_Get{Get: o}
		case *messages.Scan:
			query.Op = &messages.Query_Scan{Scan: o}
		}
		if why := messages.CheckQuery(query); why != nil {
			done(&messages.Reply{Code: why.Code, Text: why.Text})
			return
		}
		q, err := proto.Marshal(query)
		if err != nil {
			panic(err)
		}
		r, err := n.m.Query(n.engine, q)
		if err != nil {
			panic(err)
		}
		done(r)
	case *messages.Put:
		done(n.apply(&messages.Command{Op: &messages.Command_Put{Put: o}}))
	case *messages.Delete:
		done(n.apply(&messages.Command{Op: &messages.Command_Delete{Delete: o}}))
	case *messages.Append:
		done(n.apply(&messages.Command{Op: &messages.Command_Append{Append: o}}))
	case *messages.Incr:
		done(n.apply(&messages.Command{Op: &messages.Command_Incr{Incr: o}}))
	}
}

func start(t *testing.T, n *oneNode) string {
	g, err := gateway.Start(gateway.Options{Listen: "127.0.0.1:0", Backend: n})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g.Address()
}

// talk sends inline words as RESP arrays and gives the raw answers.
func talk(t *testing.T, address string, lines ...string) []string {
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	r := bufio.NewReader(conn)
	var answers []string
	for _, line := range lines {
		words := strings.Split(line, " ")
		out := fmt.Sprintf("*%d\r\n", len(words))
		for _, w := range words {
			w = strings.ReplaceAll(w, "_", "\r\n") // so that values are not only friendly
			out += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
		}
		_, err := io.WriteString(conn, out)
		require.NoError(t, err)
		answers = append(answers, readReply(t, r))
	}
	return answers
}

func readReply(t *testing.T, r *bufio.Reader) string {
	answer, err := reply(r)
	require.NoError(t, err)
	return answer
}

// reply reads one answer, whatever its type.
func reply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return line, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '$', '=':
		if err != nil || n < 0 {
			return line, err
		}
		body := make([]byte, n+2)
		_, err = io.ReadFull(r, body)
		return line + string(body), err
	case '*', '~', '%':
		if line[0] == '%' {
			n *= 2
		}
		for range n {
			if err != nil {
				break
			}
			var element string
			element, err = reply(r)
			line += element
		}
		return line, err
	}
	return line, nil
}

// redisServer starts a real Redis, and tells where it listens.
func redisServer(t *testing.T, more ...string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	server := exec.Command("redis-server", append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--databases", "1"}, more...)...)
	require.NoError(t, server.Start(), "redis-server is needed: apt-get install redis-server")
	t.Cleanup(func() {
		if err := server.Process.Kill(); err == nil {
			err = server.Wait()
			require.Error(t, err)
		}
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		return err == nil && c.Close() == nil
	}, 10*time.Second, 20*time.Millisecond)
	return address
}

// TestSameAsRedis compares answers with a real Redis, byte for byte, in both protocols.
func TestSameAsRedis(t *testing.T) {
	redis, ours := redisServer(t), start(t, newOneNode(t))
	lines := []string{
		"PING", "PING hello", "PING a b", "ECHO x_y", "ECHO", "GET", "GET a b", "GET nothing", "SET a 1", "GET a", "SET a", "SET a 2 NX", "SET b 2 XX",
		"SET b 2 nx", "GET b", "SET b 3 GET", "SET b 4 XX GET", "SET b 4 NX XX", "SET b 4 NONSENSE", "SETNX b 5", "SETNX c 5", "GETDEL c", "GETDEL c", "GETDEL",
		"DEL a b nothing", "DEL", "EXISTS a", "SET a 1", "EXISTS a a b", "APPEND a _2", "GET a", "STRLEN a", "STRLEN nothing", "APPEND new x", "INCR n", "INCR n",
		"DECR n", "INCRBY n 40", "DECRBY n 2", "INCRBY n x", "INCRBY n 9223372036854775807", "INCRBY n", "INCR a", "DECRBY n -9223372036854775808", "SET n 9223372036854775807", "INCR n",
		"SET n -9223372036854775808", "DECR n", "SET n 01", "INCR n", "SET n +1", "INCR n", "INCRBY n 1.5",
		"MSET k1 v1 k2 v2", "MSET k1", "MSET k1 v k2", "MGET k1 k2 nothing", "MGET", "MSET d 1 d 2", "GET d", "TYPE k1", "TYPE nothing", "SELECT 0", "SELECT 99", "SELECT x",
		"CLIENT GETNAME", "CLIENT SETNAME me", "CLIENT GETNAME", "SCAN x", "SCAN", "SCAN 0 COUNT", "SCAN 0 COUNT 0", "SCAN 0 COUNT x", "SCAN 0 NONSENSE 1", "SCAN 0 COUNT 1000 MATCH nosuch*",
		"SCAN 0 COUNT 1000 MATCH k1 TYPE string", "SCAN 0 COUNT 1000 MATCH k1 TYPE STRING", "SCAN 0 COUNT 1000 TYPE list", "KEYS", "KEYS k1", "KEYS nosuch", "KEYS k[2-9]", "KEYS k[^1]",
		"KEYS [^k]1", "KEYS [k", "KEYS k\\2", "KEYS ?[1", "KEYS k[1-", "KEYS k[\\1]", "KEYS []", "KEYS k[a-]1]", "KEYS k[2-1]*x", "KEYS *k*1*", "DBSIZE", "DBSIZE x",
		"NOSUCH a b", "nosuch", "INCRBY n +3", "INCRBY n 03", "INCRBY n -0", "INCRBY n ", "DECRBY n +3", "SET x v XX XX", "SET x v NX NX", "SET x v KEEPTTL",
		"SET x v EX", "SET x v EX x", "SET x v EX 0", "SET x v EX 10 PX 10", "SET x v KEEPTTL EX 1", "SET x v EX 9223372036854775807",
		"SELECT 99999999999", "SELECT 99999999999999999999", "SELECT +0", "SCAN  MATCH nosuch", "SCAN +0 MATCH nosuch", "SCAN -0 MATCH nosuch", "SCAN 00 MATCH nosuch", "SCAN 0x",
		"SCAN 0 COUNT +1", "AUTH", "AUTH x", "AUTH default x", "AUTH a b", "AUTH a b c", "HELLO 4", "HELLO x", "HELLO 03", "HELLO 3 AUTH foo x", "HELLO 3 AUTH foo",
		"HELLO 3 SETNAME a\x01b", "HELLO 2 SETNAME", "HELLO 3 NOSUCH", "HELLO 2 SETNAME you NOSUCH", "HELLO 2 SETNAME you AUTH other x", "CLIENT GETNAME", "CLIENT SETNAME", "CLIENT SETNAME a\nid=9", "CLIENT SETNAME é",
		"CLIENT GETNAME x", "CLIENT", "CLIENT NOSUCH x", "CLIENT|ID", "CLIENT SETNAME ", "CLIENT GETNAME", "CLIENT LIST TYPE x", "CLIENT LIST TYPE", "CLIENT LIST ID", "CLIENT LIST ID x", "CLIENT LIST TYPE pubsub",
		"CLIENT LIST foo bar", "CLIENT LIST ID 999999", "NO\x00P a\x00b", "NO\xffSUCH \xfe", "NO_SUCH a_b", "NOSUCH " + strings.Repeat("abcdefghij ", 20), strings.Repeat("x", 200) + " y", "GET\x00 k", "SET k v NX\x00y",
		"INFO nosuch", "COMMAND NOSUCH", "COMMAND GETKEYS", "COMMAND GETKEYS ping", "COMMAND GETKEYS ping x", "COMMAND GETKEYS nosuch a", "COMMAND GETKEYS get a b", "COMMAND GETKEYS set a b",
		"COMMAND GETKEYS mset a b c d", "COMMAND GETKEYS mset a b c", "COMMAND GETKEYS del a b", "COMMAND GETKEYS client id", "COMMAND GETKEYSANDFLAGS set a b", "COMMAND GETKEYSANDFLAGS set a b get",
		"COMMAND GETKEYSANDFLAGS del a b", "COMMAND GETKEYSANDFLAGS mset a b c d", "COMMAND COUNT x", "COMMAND LIST x", "COMMAND LIST FILTERBY x y", "COMMAND LIST FILTERBY PATTERN g[E]t", "COMMAND LIST FILTERBY ACLCAT @string",
		"COMMAND LIST FILTERBY MODULE x", "COMMAND DOCS nosuch", "COMMAND INFO nosuch", "COMMAND INFO GET strlen MGET setnx getdel append incr decr incrby decrby mset del exists type scan keys dbsize", "COMMAND INFO ping echo select hello auth quit readonly readwrite info",
		"COMMAND INFO client|id client|getname client|setname client|info client|list client|help command|count command|info command|docs command|list command|getkeys command|getkeysandflags command|help",
		"COMMAND INFO cluster|keyslot cluster|slots cluster|shards cluster|nodes cluster|myid cluster|info cluster|help", "MULTI x", "EXEC", "EXEC x", "DISCARD x", "DISCARD", "QUIT",
	}
	for _, begin := range []string{"HELLO 2", "HELLO 3"} {
		talk(t, redis, "FLUSHALL")
		want, got := talk(t, redis, append([]string{begin}, lines...)...), talk(t, ours, append([]string{begin}, lines...)...)
		require.Equal(t, want[0][:4], got[0][:4], "%s", begin) // what follows is who answers
		for i, line := range lines {
			require.Equal(t, want[i+1], got[i+1], "%s, %s", begin, line)
		}
		for _, answer := range talk(t, ours, "KEYS *")[:1] { // ours has no FLUSHALL
			for i, key := range strings.Split(answer, "\r\n") {
				if i > 0 && i%2 == 0 {
					talk(t, ours, "DEL "+key)
				}
			}
		}
	}
	// CLUSTER KEYSLOT needs Redis in cluster mode; its values are those of messages.SlotOf, tested there.
	require.Equal(t, []string{":12182\r\n"}, talk(t, ours, "CLUSTER KEYSLOT foo"))
}

func TestClientsPipelinesAndErrors(t *testing.T) {
	n := newOneNode(t)
	address := start(t, n)
	c := redis.NewClient(&redis.Options{Addr: address})
	defer c.Close()
	ctx := t.Context()
	pipe := c.Pipeline()
	for i := range 100 {
		pipe.Append(ctx, "log", fmt.Sprintf("%d,", i))
		pipe.Set(ctx, fmt.Sprintf("k%d", i), i, 0)
	}
	last := pipe.Get(ctx, "log")
	_, err := pipe.Exec(ctx)
	require.NoError(t, err)
	want := ""
	for i := range 100 {
		want += fmt.Sprintf("%d,", i)
	}
	require.Equal(t, want, last.Val(), "commands on one key keep their order")
	require.ErrorContains(t, c.Set(ctx, "k", strings.Repeat("x", messages.MaxValueBytes+1), 0).Err(), "ERR value is")
	require.ErrorContains(t, c.Set(ctx, strings.Repeat("k", 2000), "", 0).Err(), "ERR key is 2000 bytes")
	require.ErrorContains(t, c.Set(ctx, "k", "v", time.Minute).Err(), "keys do not expire")
	for code, word := range map[messages.Code]string{
		messages.Code_OVERLOADED: "OVERLOADED", messages.Code_UNAVAILABLE: "CLUSTERDOWN", messages.Code_UNCERTAIN: "UNCERTAIN",
		messages.Code_WRONG_GROUP: "TRYAGAIN", messages.Code_INVALID: "ERR",
	} {
		n.mu.Lock()
		n.fail = &messages.Reply{Code: code, Text: "why\r\n+OK"}
		n.mu.Unlock()
		require.EqualError(t, redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1}).Get(ctx, "k").Err(), word+" why  +OK")
	}
}

func TestLoading(t *testing.T) {
	loading := "cluster: this node belongs to none yet"
	g, err := gateway.Start(gateway.Options{
		Listen: "127.0.0.1:0", Backend: newOneNode(t), Loading: func() string { return loading },
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, g.Close()) }()
	no := "-LOADING " + loading + "\r\n"
	require.Equal(t, []string{"+PONG\r\n", no, no, no},
		talk(t, g.Address(), "PING", "SET k v", "GET k", "DBSIZE"))
	loading = ""
	require.Equal(t, []string{"+OK\r\n", ":1\r\n"}, talk(t, g.Address(), "SET k v", "EXISTS k"))
}

func TestGarbage(t *testing.T) {
	address := start(t, newOneNode(t))
	for _, garbage := range []string{"*1\r\n$-5\r\n", "*x\r\n", "*1\r\n:1\r\n", "*99999999999\r\n", "\x00\xff\r\n\r\n", "*2\r\n$3\r\nGET\r\n$99999999999\r\n"} {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, err = io.WriteString(conn, garbage)
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
		_, _ = io.ReadAll(conn) // an error, or silence until more comes; never the end of the server
		require.NoError(t, conn.Close())
	}
	require.Equal(t, []string{"+PONG\r\n"}, talk(t, address, "PING"))
}

// READONLY and READWRITE choose which replicas answer the reads of a connection, and of no other.
func TestReadOnlyReadsFromReplicas(t *testing.T) {
	n := newOneNode(t)
	address := start(t, n)
	talk(t, address, "GET k", "READONLY", "GET k", "MGET k l", "READWRITE", "GET k", "READONLY")
	talk(t, address, "GET k")
	n.mu.Lock()
	defer n.mu.Unlock()
	require.Equal(t, []messages.ReadFrom{0, 1, 1, 1, 0, 0}, n.from)
}
