package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
)

// said runs a command as a shell would and gives its exit code and what it wrote to standard error.
func said(t *testing.T, args ...string) (int, string) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	stderr := os.Stderr
	os.Stderr = w
	code := run(args)
	os.Stderr = stderr
	require.NoError(t, w.Close())
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	return code, string(text)
}

// Mistakes in the call are told at once, with exit code 2, before anybody is asked.
func TestUsage(t *testing.T) {
	nobody := []string{"--seeds", "127.0.0.1:1", "--timeout", "100ms"}
	for _, c := range []struct {
		says string
		args []string
	}{
		{`bucket "x" is not a number`, append([]string{"move", "x", "1"}, nobody...)},
		{`group "y" is not a number`, append([]string{"move", "1-2", "y"}, nobody...)},
		{`group "z" is not a number`, append([]string{"join", "z", "2"}, nobody...)},
		{`version "v" is not a number`, append([]string{"config", "show", "v"}, nobody...)},
		{`"w" is not an integer`, append([]string{"incr", "k", "w"}, nobody...)},
		{"needs log, show or diff", []string{"config", "nonsense"}},
		{"needs KEY, got 0 arguments", []string{"get"}},
		{`--output is text or json, not "xml"`, append([]string{"get", "k", "-o", "xml"}, nobody...)},
		{`--output is text or json, not "xml"`, []string{"bench", "-o", "xml", "--endpoints", "127.0.0.1:1"}},
		{"--target is eraft, resp or etcd", []string{"bench", "--target", "x", "--endpoints", "127.0.0.1:1"}},
		{"--tag has no braces", []string{"bench", "--tag", "{x}", "--endpoints", "127.0.0.1:1"}},
		{"--rate must not be below 0", []string{"bench", "--rate", "-1", "--endpoints", "127.0.0.1:1"}},
		{"--op is put or get", []string{"bench", "--op", "x", "--endpoints", "127.0.0.1:1"}},
		{"no data directory is set", []string{"server"}},
		{"has no port from 0 to 65535", []string{"server", "--data", "x", "--listen", "127.0.0.1:70000"}},
	} {
		code, text := said(t, c.args...)
		require.Equal(t, 2, code, "%v: %s", c.args, text)
		require.Contains(t, text, c.says, "%v", c.args)
	}
	code, text := said(t, append([]string{"get", "k"}, nobody...)...)
	require.Equal(t, 1, code)
	require.Contains(t, text, "none was named by 127.0.0.1:1")
}

func parse(t *testing.T, args ...string) (cluster.Config, error) {
	t.Helper()
	c := serverCommand()
	require.NoError(t, c.ParseFlags(args))
	config, _, err := serverConfig(c.Flags())
	return config, err
}

// Every flag can stand in the environment and in the file; the flag wins, then the environment.
func TestServerConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "eraft.yml")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("name: file\nbuckets: 8\ngroups: 2\ninsecure: true\nseeds: [a:1, b:2]\n")
	t.Setenv("ERAFT_CONFIG", path)
	t.Setenv("ERAFT_NAME", "environment")
	t.Setenv("ERAFT_GROUPS", "3")
	c, err := parse(t, "--groups", "4")
	require.NoError(t, err)
	require.Equal(t, cluster.Config{
		Name: "environment", Listen: "127.0.0.1:7400", Seeds: []string{"a:1", "b:2"}, Buckets: 8, Groups: 4, Insecure: true, ReplaceAfter: 10 * time.Minute,
	}, c)
	t.Setenv("ERAFT_SEEDS", "c:3,d:4")
	c, err = parse(t)
	require.NoError(t, err)
	require.Equal(t, []string{"c:3", "d:4"}, c.Seeds)
	for text, says := range map[string]string{
		"bukets: 3\n":    `unknown key "bukets"`,
		"{":              "yaml",
		"expect: many\n": `"many" for "--expect"`,
		"reserve: -1\n":  "reserve is -1 MiB, but must be 0, for the default, or more",
	} {
		write(text)
		_, err = parse(t)
		require.ErrorContains(t, err, says)
	}
	write("")
	t.Setenv("ERAFT_BUCKETS", "abc")
	_, err = parse(t)
	require.ErrorContains(t, err, `"abc" for "--buckets"`)
}

func TestEveryFlagHasAPlaceInEnvironmentAndFile(t *testing.T) {
	values := map[string]string{
		"name": "n", "data": "d", "listen": "h:1", "advertise": "h:2", "seeds": "s:1", "expect": "2", "resp": "r:1",
		"http": "h:3", "buckets": "4", "groups": "3", "replicas": "5", "move-rate": "7", "insecure": "true", "log-format": "json",
		"labels": "zone=a,rack=b", "replace-after": "1m",
		"lease-reads": "true", "clock-ratio": "1.5", "cache": "20", "reserve": "30",
	}
	flags := serverCommand().Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		if value, ok := values[f.Name]; ok {
			t.Setenv(variable(f.Name), value)
		} else {
			require.Contains(t, []string{"config", "help"}, f.Name, "give it a value here")
		}
	})
	config, format, err := serverConfig(flags)
	require.NoError(t, err)
	require.Equal(t, "json", format)
	require.Equal(t, cluster.Config{
		Name: "n", Dir: "d", Listen: "h:1", Advertise: "h:2", Seeds: []string{"s:1"}, Expect: 2, RESP: "r:1", HTTP: "h:3",
		Buckets: 4, Groups: 3, Replicas: 5, Insecure: true, Labels: []string{"zone=a", "rack=b"}, ReplaceAfter: time.Minute,
		LeaseReads: true, ClockRatio: 1.5, CacheBytes: 20 << 20, ReserveBytes: 30 << 20, HandOver: cluster.HandOverLimits{BytesPerSecond: 7 << 20},
	}, config)
}

func variable(flag string) string {
	name := []byte("ERAFT_" + flag)
	for i, c := range name {
		switch {
		case c == '-':
			name[i] = '_'
		case 'a' <= c && c <= 'z':
			name[i] = c - 'a' + 'A'
		}
	}
	return string(name)
}

func TestForceMustBeConfirmed(t *testing.T) {
	require.Equal(t, 2, run([]string{"force-new-quorum", "--data", "x"}))
	require.Equal(t, 1, run([]string{"force-new-quorum", "--data", t.TempDir(), "--group", "0"}))
	plan := cluster.ForcePlan{Node: 1, Name: "n1", Group: 3, Lost: []uint64{2, 5}, LastTerm: 7, LastIndex: 90, Committed: 88}
	for _, c := range []struct {
		flag, typed string
		ok          bool
	}{
		{"", "group 3 loses nodes 2,5\n", true}, {"", "  group 3 loses nodes 2,5", true}, {"group 3 loses nodes 2,5", "", true},
		{"", "yes\n", false}, {"", "", false}, {"group 3 loses nodes 2", "group 3 loses nodes 2,5\n", false},
	} {
		var out strings.Builder
		err := confirm(plan, c.flag, strings.NewReader(c.typed), &out)
		require.Contains(t, out.String(), "index 90 of term 7; up to 88 it is known to be committed")
		if c.ok {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "nothing was changed")
		}
	}
}
