package cluster

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/meta"
)

// What there may be of for every bucket is no line of a log that people read.
func TestLevelsOfEvents(t *testing.T) {
	for want, events := range map[string][]actors.Event{
		"DEBUG": {BucketMigrated{}, ConfigAdopted{Change: "3 arrived at 1"}, ConfigAdopted{Change: "1-3, 7 arrived at 12"}, ConfigAdopted{Change: "9 buckets arrived at 2"}},
		"INFO":  {Joined{}, ConfigAdopted{Change: "move 3 to 1"}, ConfigAdopted{Change: "add node 4 (3 arrived at 1)"}},
		"WARN":  {JoinRefused{}, DirectoryOpen{}},
		"ERROR": {Stopped{Reason: errors.New("x")}},
	} {
		for _, e := range events {
			var said strings.Builder
			logEvents(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))(e)
			require.Contains(t, said.String(), "level="+want, "%#v", e)
		}
	}
	require.False(t, meta.IsMoveCompletion("bootstrap with 16 buckets"))
	require.False(t, meta.IsMoveCompletion(""))
}

// A cluster is called the same everywhere: in hexadecimal.
func TestClustersAreHexadecimal(t *testing.T) {
	for _, handler := range []func(*strings.Builder) slog.Handler{
		func(b *strings.Builder) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *strings.Builder) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var said strings.Builder
		logEvents(slog.New(handler(&said)))(Joined{Cluster: 0xabc, Node: 1})
		require.Contains(t, said.String(), "0000000000000abc")
	}
}
