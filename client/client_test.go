package client_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
)

// connected is a client of a cluster of one node in this process.
func connected(t *testing.T, c client.Config) *client.Client {
	t.Helper()
	node, err := cluster.Start(t.Context(), cluster.Config{Name: "n1", Dir: t.TempDir(), Listen: "127.0.0.1:0", Groups: 2})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, node.Close(ctx))
	})
	require.Eventually(t, node.Ready, 20*time.Second, 10*time.Millisecond)
	c.Seeds = []string{node.Address()}
	cl, err := client.Connect(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cl.Close()) })
	return cl
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// Each kind of refusal has an error of its own, so that a caller can distinguish them without reading the text.
func TestErrorsAreTyped(t *testing.T) {
	c, key := connected(t, client.Config{}), []byte("k")
	ctx := t.Context()
	first, err := c.Put(ctx, key, []byte("here"))
	require.NoError(t, err)
	_, err = c.Put(ctx, []byte("text"), []byte("no number"))
	require.NoError(t, err)
	kinds := []error{
		client.ErrConflict, client.ErrUncertain, client.ErrOverloaded, client.ErrUnavailable, client.ErrInvalid, client.ErrTooLarge,
	}
	for _, x := range []struct {
		name string
		do   func() error
		want error
	}{
		{"a key that is there", func() error { _, err := c.PutIfAbsent(ctx, key, nil); return err }, client.ErrConflict},
		{"a key that is not there", func() error { _, err := c.PutIfPresent(ctx, []byte("no"), nil); return err }, client.ErrConflict},
		{"another version", func() error { _, err := c.CompareAndSwap(ctx, key, first+1, nil); return err }, client.ErrConflict},
		{"another value", func() error { _, err := c.CompareValueAndSwap(ctx, key, []byte("x"), nil); return err }, client.ErrConflict},
		{"no key", func() error { _, err := c.Put(ctx, nil, nil); return err }, client.ErrInvalid},
		{"no number", func() error { _, err := c.Incr(ctx, []byte("text"), 1); return err }, client.ErrInvalid},
		{"no such bucket", func() error { _, err := c.Move(ctx, 9999, 9999, 1); return err }, client.ErrInvalid},
		{"a page below nothing", func() error {
			for _, err := range c.Scan(ctx, client.ScanOptions{PageSize: -1}) {
				return err
			}
			return nil
		}, client.ErrInvalid},
		{"a value that is too large", func() error { _, err := c.Put(ctx, key, make([]byte, messages.MaxValueBytes+1)); return err }, client.ErrTooLarge},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := x.do()
			for _, kind := range kinds {
				require.Equal(t, kind == x.want, errors.Is(err, kind), "%v", err)
			}
		})
	}
	current, err := c.CompareAndSwap(ctx, key, first+1, []byte("lost"))
	require.ErrorIs(t, err, client.ErrConflict)
	require.Equal(t, client.Value{Data: []byte("here"), Version: first}, current, "the loser of a swap learns what is there")
}

// Every call does what its comment says, through a real connection.
func TestCalls(t *testing.T) {
	c := connected(t, client.Config{})
	ctx, key := t.Context(), []byte("k")
	_, found, err := c.Get(ctx, key)
	require.NoError(t, err)
	require.False(t, found, "absent is no error")
	first, err := c.PutIfAbsent(ctx, key, []byte("a"))
	require.NoError(t, err)
	length, err := c.Append(ctx, key, []byte("bc"))
	require.NoError(t, err)
	require.EqualValues(t, 3, length)
	value, found, err := c.Get(ctx, key)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "abc", string(value.Data))
	require.Greater(t, value.Version, first)
	n, err := c.Incr(ctx, []byte("n"), -7)
	require.NoError(t, err)
	require.EqualValues(t, -7, n)
	many, err := c.GetMany(ctx, []byte("n"), []byte("absent"), key)
	require.NoError(t, err)
	require.Equal(t, []string{"-7", "", "abc"}, []string{string(many[0].Data), string(many[1].Data), string(many[2].Data)})
	require.Zero(t, many[1].Version)
	seen := map[string]string{}
	for item, err := range c.Scan(ctx, client.ScanOptions{PageSize: 1}) {
		require.NoError(t, err)
		seen[string(item.Key)] = string(item.Value)
	}
	require.Equal(t, map[string]string{"k": "abc", "n": "-7"}, seen)
	found, err = c.Delete(ctx, key)
	require.NoError(t, err)
	require.True(t, found)
	found, err = c.Delete(ctx, key)
	require.NoError(t, err)
	require.False(t, found)
}

// An actor in the caller's own system asks the client's PID with a message, and gets a message.
func TestActorsOfTheCallersAsk(t *testing.T) {
	system := actor.NewActorSystem()
	defer system.Shutdown()
	c := connected(t, client.Config{System: system})
	_, err := c.Put(t.Context(), []byte("k"), []byte("v"))
	require.NoError(t, err)
	r, err := system.Root.RequestFuture(c.PID(), &messages.Get{Key: []byte("k")}, 5*time.Second).Result()
	require.NoError(t, err)
	require.Equal(t, "v", string(r.(*messages.Reply).Value))
}

// A client needs no port: it may be behind NAT or a firewall, and no node dials it.
func TestClientDoesNotListen(t *testing.T) {
	c := connected(t, client.Config{})
	before := listening(t)
	other, err := client.Connect(t.Context(), client.Config{Seeds: seeds(t, c)})
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	_, err = other.Put(t.Context(), []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.Subset(t, before, listening(t))
}

func seeds(t *testing.T, c *client.Client) []string {
	config, err := c.Config(t.Context(), 0)
	require.NoError(t, err)
	return []string{config.Nodes[0].Address}
}

// listening is the sockets of this process that listen.
func listening(t *testing.T) (all []string) {
	own := map[string]bool{}
	files, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil {
			own[to] = true
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		lines, err := os.ReadFile(table)
		require.NoError(t, err)
		for line := range strings.Lines(string(lines)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && own["socket:["+f[9]+"]"] {
				all = append(all, f[1])
			}
		}
	}
	require.NotEmpty(t, all)
	return all
}

func TestSeeds(t *testing.T) {
	_, err := client.Connect(t.Context(), client.Config{})
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, "no seeds")
	_, err = client.Connect(t.Context(), client.Config{Seeds: []string{"no port"}})
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, "no port")
	one, two := nobody(t), nobody(t)
	_, err = client.Connect(t.Context(), client.Config{Seeds: []string{one, two}, Timeout: 200 * time.Millisecond})
	require.ErrorIs(t, err, client.ErrUnavailable)
	require.ErrorContains(t, err, one+" (dial tcp "+one+": connect: connection refused)", "who is not there is told apart from who does not answer")
	require.ErrorContains(t, err, two)
}

// A call whose context has ended returns at once; whether a write was applied is not known if it may have been sent.
func TestContextEnds(t *testing.T) {
	c, err := client.Dial(client.Config{Seeds: []string{nobody(t)}})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = c.Put(past, []byte("k"), nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, client.ErrUncertain, "it was never sent")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	_, err = c.Put(ended, []byte("k"), nil)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, client.ErrUncertain)
	require.Less(t, time.Since(began), 2*time.Second, "not after the usual timeout")
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = c.Status(short, nobody(t))
	require.ErrorIs(t, err, client.ErrUnavailable)
	require.ErrorContains(t, err, "does not answer")
}
