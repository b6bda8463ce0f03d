package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
)

// printed runs a command as a shell would, with standard output no terminal, and gives its exit code and what it wrote.
func printed(t *testing.T, args ...string) (code int, out, errors string) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	stdout := os.Stdout
	os.Stdout = w
	code, errors = said(t, args...)
	os.Stdout = stdout
	require.NoError(t, w.Close())
	body, err := io.ReadAll(r)
	require.NoError(t, err)
	return code, string(body), errors
}

// served is a cluster of one node in this process, which ERAFT_SEEDS names.
func served(t *testing.T) *cluster.Node {
	node, err := cluster.Start(t.Context(), cluster.Config{Name: "n1", Dir: t.TempDir(), Listen: "127.0.0.1:0", RESP: "127.0.0.1:0", Groups: 1})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, node.Close(ctx))
	})
	require.Eventually(t, node.Ready, 20*time.Second, 10*time.Millisecond)
	t.Setenv(clientSeeds, node.Address())
	return node
}

// The output of data commands, and their exit codes.
func TestDataCommands(t *testing.T) {
	node := served(t)
	for _, c := range []struct {
		args []string
		code int
		out  string
		says string
	}{
		{[]string{"get", "k"}, exitAbsent, "", "not found"},
		{[]string{"del", "k"}, exitAbsent, "", "not found"},
		{[]string{"cas", "k", "other", "v"}, exitConflict, "", "the key is absent"},
		{[]string{"cas", "--absent", "k", "v"}, exitDone, "OK\n", ""},
		{[]string{"cas", "k", "again", "--absent"}, exitConflict, "", `the value is "v"`},
		{[]string{"cas", "k", "x", "y", "--absent"}, exitUsage, "", "needs KEY VALUE with --absent, got 3 arguments"},
		{[]string{"cas", "k", "x"}, exitUsage, "", "needs KEY EXPECTED VALUE, or KEY VALUE with --absent, got 2 arguments"},
		{[]string{"cas", "k", "v", "-7"}, exitDone, "OK\n", ""},
		{[]string{"get", "k"}, exitDone, "-7", ""},
		{[]string{"get", "k", "--raw"}, exitDone, "-7", ""},
		{[]string{"get", "k", "-o", "json"}, exitDone, `{"value":"-7","version":2}` + "\n", ""},
		{[]string{"incr", "k", "-3"}, exitDone, "-10\n", ""},
		{[]string{"incr", "--timeout", "9s", "k", "-3", "-o", "json"}, exitDone, `{"number":-13}` + "\n", ""},
		{[]string{"incr", "k", "--", "-3"}, exitDone, "-16\n", ""},
		{[]string{"incr", "k"}, exitDone, "-15\n", ""},
		{[]string{"put", "t", "text\n"}, exitDone, "OK\n", ""},
		{[]string{"append", "t", "-1.5"}, exitDone, "9\n", ""},
		{[]string{"get", "t"}, exitDone, "text\n-1.5", ""},
		{[]string{"put", "b", "\xff"}, exitDone, "OK\n", ""},
		{[]string{"get", "b"}, exitDone, "\xff", ""},
		{[]string{"get", "b", "-o", "json"}, exitDone, `{"base64":"/w==","version":1}` + "\n", ""},
		{[]string{"incr", "t", "-5"}, exitFailed, "", "INVALID"},
		{[]string{"incr", "t", "-x"}, exitUsage, "", "unknown shorthand flag"},
		{[]string{"remove", "n1"}, exitConflict, "", "CONFLICT"},
		{[]string{"move", "1", "9"}, exitFailed, "", "group 9 is no shard group"},
		{[]string{"get", "k", "--timeout", "100ms", "--seeds", "127.0.0.1:1"}, exitUnavailable, "", "no config from 127.0.0.1:1"},
	} {
		code, out, text := printed(t, c.args...)
		require.Equal(t, c.code, code, "%v: %s", c.args, text)
		require.Equal(t, c.out, out, "%v: %s", c.args, text)
		require.Contains(t, text, c.says, "%v", c.args)
	}
	for _, c := range []struct{ target, endpoint string }{ // who is not there, or speaks something else, is no measurement
		{"resp", "127.0.0.1:1"}, {"resp", silent(t)}, {"etcd", silent(t)}, {"eraft", "127.0.0.1:1"},
	} {
		code, out, text := printed(t, "bench", "--target", c.target, "--endpoints", c.endpoint, "--duration", "10ms", "--clients", "2")
		require.Equal(t, exitUnavailable, code, "%v: %s", c, text)
		require.Empty(t, out)
		require.Contains(t, text, c.endpoint)
	}
	code, out, text := printed(t, "bench", "--target", "resp", "--endpoints", node.RESP(), "--duration", "10ms", "--clients", "2")
	require.Zero(t, code, text)
	require.Contains(t, out, "ops/s")
}

// silent is where connections are taken and closed.
func silent(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// Flags stay flags, wherever a negative number is.
func TestNegativeNumbersAreArguments(t *testing.T) {
	root := &cobra.Command{Use: "eraft"}
	root.AddCommand(dataCommands()...)
	for _, c := range []struct{ args, are []string }{
		{[]string{"incr", "k", "-3"}, []string{"incr", "--", "k", "-3"}},
		{[]string{"incr", "-3", "2", "--seeds", "a:1"}, []string{"incr", "--seeds", "a:1", "--", "-3", "2"}},
		{[]string{"incr", "k", "-3", "-o", "json", "--timeout=3s"}, []string{"incr", "-o", "json", "--timeout=3s", "--", "k", "-3"}},
		{[]string{"cas", "k", "--absent", "-1"}, []string{"cas", "--absent", "--", "k", "-1"}},
		{[]string{"incr", "k", "-ojson", "-1e3"}, []string{"incr", "-ojson", "--", "k", "-1e3"}},
		{[]string{"incr", "k", "--", "-3"}, []string{"incr", "--", "k", "-3"}},
		{[]string{"incr", "k", "3"}, []string{"incr", "k", "3"}},
		{[]string{"put", "k", "-"}, []string{"put", "k", "-"}},
		{[]string{"scan", "-3"}, []string{"scan", "-3"}},
		{[]string{"nonsense", "-3"}, []string{"nonsense", "-3"}},
		{[]string{"-3"}, []string{"-3"}},
	} {
		require.Equal(t, c.are, numbersAreArguments(root, c.args), "%v", c.args)
	}
}

// A dead seed hardly delays the result of the others.
func TestFirstOf(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	asked := make(chan string, 9)
	ask := func(ctx context.Context, seed string) ([]byte, error) {
		asked <- seed
		switch seed {
		case "dead":
			<-ctx.Done()
			return nil, ctx.Err()
		case "refuses":
			return nil, io.ErrUnexpectedEOF
		}
		return []byte(seed), nil
	}
	body, err := firstOf(ctx, []string{"dead", "refuses", "good", "better"}, time.Millisecond, ask)
	require.NoError(t, err)
	require.Equal(t, "good", string(body))
	body, err = firstOf(ctx, []string{"good", "better"}, time.Hour, ask)
	require.NoError(t, err)
	require.Equal(t, "good", string(body), "who answers is enough")
	_, err = firstOf(ctx, []string{"refuses", "refuses"}, time.Hour, ask)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	cancel()
	_, err = firstOf(ctx, []string{"dead", "dead"}, time.Millisecond, ask)
	require.ErrorIs(t, err, context.Canceled)
}

func TestVersion(t *testing.T) {
	code, out, text := printed(t, "version")
	require.Zero(t, code, text)
	require.Regexp(t, `^eraft \S+\ncommit \S+\ngo go1\S+\nrocksdb \d+\.\d+\.\d+\nfeature level \d+\n$`, out)
	code, out, text = printed(t, "version", "-o", "json")
	require.Zero(t, code, text)
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	for _, key := range []string{"version", "commit", "go", "rocksdb", "level"} {
		require.NotEmpty(t, v[key], key)
	}
}

// The log of configs shows the author of each: the name that the caller claims, placement, or a node.
func TestConfigLogShowsAuthors(t *testing.T) {
	served(t)
	require.Eventually(t, func() bool {
		_, out, _ := printed(t, "status")
		return strings.Contains(out, "feature level: "+strconv.Itoa(int(messages.RequesterLevel)))
	}, 20*time.Second, 50*time.Millisecond)
	code, out, text := printed(t, "rebalance", "--pause")
	require.Zero(t, code, text)
	version := strings.TrimPrefix(strings.TrimSpace(out), "config ")
	code, out, text = printed(t, "config", "log")
	require.Zero(t, code, text)
	require.Regexp(t, `(?m)^`+version+`  20\S+Z  `+regexp.QuoteMeta(author())+`  +pause placement$`, out)
	require.NotEmpty(t, author())
	code, out, text = printed(t, "config", "show", "-o", "json")
	require.Zero(t, code, text)
	require.Contains(t, out, `"requested_by":"`+author()+`"`)
}
