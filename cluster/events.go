package cluster

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"unicode"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/raftactor"
)

// Joined tells that this node is a member of a cluster from now on.
type Joined struct {
	Cluster messages.ClusterID
	Node    messages.NodeID
	Birth   bool
}

// JoinRefused tells that the cluster does not want this node, and why.
type JoinRefused struct{ Text string }

// ConfigAdopted tells that this node follows a newer config.
type ConfigAdopted struct {
	Version uint64
	Change  string
}

// BucketArrived tells that a group which this node leads serves a bucket that another group gave to it.
type BucketArrived struct {
	Bucket        uint32
	Group, From   messages.GroupID
	ConfigVersion uint64
	Chunks, Bytes uint64 // that came before the last chunk
}

// ClientStalled tells that a Redis client did not read its answers for ten seconds, and was disconnected.
type ClientStalled struct{ Client string }

// DirectoryOpen tells that others than the owner of the data directory may look into it.
type DirectoryOpen struct{ Dir, Mode, Do string }

// Stopped tells that the node stops by itself, and why.
type Stopped struct{ Reason error }

func (Joined) EventName() string        { return "joined" }
func (JoinRefused) EventName() string   { return "join refused" }
func (ConfigAdopted) EventName() string { return "config adopted" }
func (BucketArrived) EventName() string { return "bucket arrived" }
func (ClientStalled) EventName() string { return "client stalled" }
func (DirectoryOpen) EventName() string { return "data directory is open to others" }
func (Stopped) EventName() string       { return "node stopped" }

// logEvents is the one place where events become log lines: the name is the message, the fields are the keys.
func logEvents(logger *slog.Logger) func(actors.Event) {
	return func(e actors.Event) {
		level := slog.LevelInfo
		switch e := e.(type) {
		case raftactor.MessageDropped, BucketArrived:
			level = slog.LevelDebug
		case ConfigAdopted:
			if meta.IsMoveCompletion(e.Change) {
				level = slog.LevelDebug
			}
		case actors.ActorFailed, Stopped:
			level = slog.LevelError
		case JoinRefused, ClientStalled, actors.MessageTooLarge, HandOverFailed, DiskSpace, DirectoryOpen:
			level = slog.LevelWarn
		}
		if logger.Enabled(context.Background(), level) {
			logger.LogAttrs(context.Background(), level, e.EventName(), attributes(e)...)
		}
	}
}

func attributes(e actors.Event) []slog.Attr {
	v := reflect.Indirect(reflect.ValueOf(e))
	if v.Kind() != reflect.Struct {
		return nil
	}
	var all []slog.Attr
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			all = append(all, slog.Any(snake(f.Name), v.Field(i).Interface()))
		}
	}
	return all
}

// snake turns a field name into a log key: ConfigVersion becomes config_version, OK becomes ok.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
