package main

import (
	"fmt"
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

// Mistakes in the call are reported at once, with exit code 2, before anything is sent.
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
	require.Equal(t, exitUnavailable, code)
	require.Contains(t, text, "no config from 127.0.0.1:1")
}

func parse(t *testing.T, args ...string) (cluster.Config, error) {
	t.Helper()
	c := serverCommand()
	require.NoError(t, c.ParseFlags(args))
	config, _, err := serverConfig(c.Flags())
	return config, err
}

// Every flag can be set in the environment and in the file; the flag wins, then the environment.
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
	t.Setenv("ERAFT_SERVER_SEEDS", "c:3,d:4")
	t.Setenv("ERAFT_SERVER_GROUPS", "5")
	c, err = parse(t)
	require.NoError(t, err)
	require.Equal(t, []string{"c:3", "d:4"}, c.Seeds)
	require.Equal(t, 5, c.Groups)
	for text, says := range map[string]string{
		"bukets: 3\n":    `unknown key "bukets"`,
		"{":              "config file " + path + " of ERAFT_CONFIG: yaml",
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
	require.ErrorContains(t, err, `ERAFT_BUCKETS: invalid argument "abc" for "--buckets"`)
}

// Lists are parsed alike wherever they are set: spaces do not count, and a missing element is an error.
func TestLists(t *testing.T) {
	path := filepath.Join(t.TempDir(), "eraft.yml")
	for _, c := range []struct {
		value, says string
		is          []string
	}{
		{"a:1, b:2", "", []string{"a:1", "b:2"}}, {" a:1 ,b:2\t", "", []string{"a:1", "b:2"}},
		{"a:1,,b:2", "has an empty element", nil}, {"a:1, ", "has an empty element", nil}, {",", "has an empty element", nil},
	} {
		for place, read := range map[string]func() ([]string, error){
			"--seeds":            func() ([]string, error) { got, err := parse(t, "--seeds", c.value); return got.Seeds, err },
			"--labels":           func() ([]string, error) { got, err := parse(t, "--labels", c.value); return got.Labels, err },
			"ERAFT_SERVER_SEEDS": func() ([]string, error) { got, err := parse(t); return got.Seeds, err },
			"ERAFT_LABELS":       func() ([]string, error) { got, err := parse(t); return got.Labels, err },
			"seeds: in a file":   func() ([]string, error) { got, err := parse(t, "--config", path); return got.Seeds, err },
			"ERAFT_SEEDS":        func() ([]string, error) { return resolveSeeds("seeds", nil) },
			"--endpoints":        func() ([]string, error) { return resolveSeeds("endpoints", strings.Split(c.value, ",")) },
		} {
			t.Run(place+" "+c.value, func(t *testing.T) {
				if strings.HasPrefix(place, "ERAFT_") {
					t.Setenv(place, c.value)
				}
				require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "seeds: %q\n", c.value), 0o600))
				got, err := read()
				if c.says != "" {
					require.ErrorContains(t, err, c.says)
				} else {
					require.NoError(t, err)
					require.Equal(t, c.is, got)
				}
			})
		}
	}
	for says, seeds := range map[string]string{
		"a:1 is named twice": "a:1,b:2,a:1", `"a" is not an address`: "b:1,a", `"a b:1" is not an address`: "a b:1",
	} {
		code, text := said(t, "server", "--data", "x", "--seeds", seeds)
		require.Equal(t, 2, code)
		require.Contains(t, text, says)
		code, text = said(t, "get", "k", "--seeds", seeds)
		require.Equal(t, 2, code)
		require.Contains(t, text, says)
		code, text = said(t, "bench", "--endpoints", seeds)
		require.Equal(t, 2, code)
		require.Contains(t, text, says)
	}
	code, text := said(t, "join", "1", "2,,3", "--seeds", "127.0.0.1:1")
	require.Equal(t, 2, code)
	require.Contains(t, text, "NODES has an empty element")
}

// ERAFT_SEEDS names the cluster that clients use. Whether a node started with it belongs to that cluster, or to one of its own, is not
// guessed.
func TestClientSeedsAreNotServerSeeds(t *testing.T) {
	t.Setenv("ERAFT_SEEDS", "a:1, b:2")
	_, err := parse(t, "--data", "x")
	require.ErrorContains(t, err, "say --seeds a:1, b:2 if it shall belong to that cluster, or --seeds= if it shall be one of its own")
	c, err := parse(t, "--seeds=")
	require.NoError(t, err)
	require.Empty(t, c.Seeds)
	c, err = parse(t, "--seeds", "c:3")
	require.NoError(t, err)
	require.Equal(t, []string{"c:3"}, c.Seeds)
	c, err = parse(t, "--expect", "2")
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, c.Seeds, "one that waits for others means them")
	t.Setenv("ERAFT_SERVER_SEEDS", "d:4")
	c, err = parse(t)
	require.NoError(t, err)
	require.Equal(t, []string{"d:4"}, c.Seeds)
}

// A variable that looks like eraft's and has no effect is reported.
func TestUnknownVariables(t *testing.T) {
	require.Equal(t, []string{"ERAFT_LISTN", "ERAFT_SEED"}, unknownVariables([]string{
		"ERAFT_SEED=a:1", "ERAFT_SEEDS=a:1", "ERAFT_LISTN=h:1", "ERAFT_LISTEN=h:1", "ERAFT_SERVER_MOVE_RATE=7", "ERAFT_CONFIG=f", "PATH=/bin",
		"ERAFT_SERVICE_HOST=10.0.0.1", "ERAFT_PORT=tcp://10.0.0.1:7400", "ERAFT_PORT_7400_TCP_ADDR=10.0.0.1", "ERAFT_N1_SERVICE_PORT_HTTP=80",
	}))
	t.Setenv("ERAFT_SEED", "a:1")
	code, text := said(t, "get", "k")
	require.Equal(t, 2, code)
	require.Contains(t, text, "eraft knows no variable ERAFT_SEED, which is set")
}

func TestEveryFlagHasAPlaceInEnvironmentAndFile(t *testing.T) {
	values := map[string]string{
		"name": "n", "data": "d", "listen": "h:1", "advertise": "h:2", "seeds": "s:1", "expect": "2", "resp": "r:1", "own-keys": "true",
		"http": "h:3", "buckets": "4", "groups": "3", "replicas": "5", "move-rate": "7", "insecure": "true", "log-format": "json",
		"labels": "zone=a,rack=b", "replace-after": "1m",
		"lease-reads": "true", "clock-ratio": "1.5", "cache": "20", "reserve": "30", "pprof": "true",
	}
	for i, form := range []string{"ERAFT_SERVER_", "ERAFT_"} {
		t.Run(form, func(t *testing.T) { everyFlag(t, values, i) })
	}
}

func everyFlag(t *testing.T, values map[string]string, i int) {
	flags := serverCommand().Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		if value, ok := values[f.Name]; ok && f.Name == "seeds" {
			t.Setenv(variables(f.Name)[0], value)
		} else if ok {
			t.Setenv(variables(f.Name)[i], value)
		} else {
			require.Contains(t, []string{"config", "help"}, f.Name, "give it a value here")
		}
	})
	config, format, err := serverConfig(flags)
	require.NoError(t, err)
	require.Equal(t, "json", format)
	require.Equal(t, cluster.Config{
		Name: "n", Dir: "d", Listen: "h:1", Advertise: "h:2", Seeds: []string{"s:1"}, Expect: 2, RESP: "r:1", OwnKeys: true, HTTP: "h:3",
		Buckets: 4, Groups: 3, Replicas: 5, Insecure: true, Labels: []string{"zone=a", "rack=b"}, ReplaceAfter: time.Minute,
		LeaseReads: true, ClockRatio: 1.5, Profiles: true, CacheBytes: 20 << 20, ReserveBytes: 30 << 20, Migration: cluster.MigrationLimits{BytesPerSecond: 7 << 20},
	}, config)
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
