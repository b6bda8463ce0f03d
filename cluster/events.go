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

// Joined is the event of a node that has become a member of a cluster.
type Joined struct {
	Cluster      messages.ClusterID
	Node         messages.NodeID
	Bootstrapped bool // the node has bootstrapped the cluster itself
}

// JoinRefused is the event of a node that the cluster does not admit; Text says why.
type JoinRefused struct{ Text string }

// ConfigAdopted is the event of a node that follows a newer config.
type ConfigAdopted struct {
	Version uint64
	Change  string
}

// BucketMigrated is the event of a completed migration: Group, which this node leads, serves a bucket that group From had.
type BucketMigrated struct {
	Bucket        uint32
	Group, From   messages.GroupID
	ConfigVersion uint64 // of the config that moved the bucket
	Chunks, Bytes uint64 // imported before the last chunk
}

// ClientStalled is the event of a Redis client that has not read its replies for ten seconds and is disconnected.
type ClientStalled struct{ Client string }

// DirectoryOpen is the event of a data directory that users other than its owner may read; Do is the command that changes this.
type DirectoryOpen struct{ Dir, Mode, Do string }

// Stopped is the event of a node that stops by itself; Reason says why.
type Stopped struct{ Reason error }

func (Joined) EventName() string         { return "joined" }
func (JoinRefused) EventName() string    { return "join refused" }
func (ConfigAdopted) EventName() string  { return "config adopted" }
func (BucketMigrated) EventName() string { return "bucket migrated" }
func (ClientStalled) EventName() string  { return "client stalled" }
func (DirectoryOpen) EventName() string  { return "data directory is open to others" }
func (Stopped) EventName() string        { return "node stopped" }

// logEvents turns events into log lines: the event's name is the message, its fields are the keys.
func logEvents(logger *slog.Logger) func(actors.Event) {
	return func(e actors.Event) {
		level := slog.LevelInfo
		switch e := e.(type) {
		case raftactor.MessageDropped, BucketMigrated:
			level = slog.LevelDebug
		case ConfigAdopted:
			if meta.IsMoveCompletion(e.Change) {
				level = slog.LevelDebug
			}
		case actors.ActorFailed, Stopped:
			level = slog.LevelError
		case JoinRefused, ClientStalled, actors.MessageTooLarge, TransferFailed, DiskSpace, DirectoryOpen:
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
