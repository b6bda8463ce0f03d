package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/eraft-io/eraft/shardkv"
)

// HandOverLimits bound what the copying of buckets may cost. A zero field means its default.
type HandOverLimits struct {
	BytesPerSecond int // that this node copies for all its groups together, at most. Default 8 MiB
	ChunkBytes     int // of one chunk, about: one log entry; 256 records at most. Default 256 KiB, at most 1 MiB
	TailBytes      int // that may change while a bucket is copied; then the copying begins again. Default 1 GiB
}

func (l *HandOverLimits) fill() error {
	for _, f := range []struct {
		name           string
		field          *int
		usual, highest int
	}{
		{"bytes per second", &l.BytesPerSecond, 8 << 20, 1 << 40},
		{"chunk bytes", &l.ChunkBytes, 256 << 10, 1 << 20},
		{"tail bytes", &l.TailBytes, 1 << 30, 1 << 40},
	} {
		if *f.field == 0 {
			*f.field = f.usual
		}
		if *f.field < 1 || *f.field > f.highest {
			return fmt.Errorf("hand-over: %s is %d, but must be 1 to %d", f.name, *f.field, f.highest)
		}
	}
	return nil
}

func (l *HandOverLimits) pace() shardkv.MigrationLimits {
	return shardkv.MigrationLimits{ChunkBytes: l.ChunkBytes, MaxChangeLogBytes: l.TailBytes}
}

// flow is a node's limit of bytes per second as a virtual clock: it stands at the time at which all that was spent would
// be paid for. The Movers of a node share it. Who takes long is asked to rest, so the rate falls where others wait, too.
type flow struct {
	rate int64 // bytes per second
	paid atomic.Int64
}

// wait is how long until something may be spent again.
func (f *flow) wait(now time.Duration) time.Duration {
	return max(0, time.Duration(f.paid.Load())-now)
}

// slowest is by how much the rate may fall: a bucket arrives on a machine that is always busy, too, and a node that has
// come to take load off the others must get it in time. A small record counts as recordBytes for that: what inserting it takes
// hardly depends on its size.
const (
	slowest     = 4
	recordBytes = 512
)

// spend pays for records that were copied: what the rate asks for, or the rest if that is longer.
func (f *flow) spend(now time.Duration, bytes, records int, rest time.Duration) {
	takes := func(bytes int) int64 { return int64(bytes) * int64(time.Second) / f.rate }
	cost := max(takes(bytes), min(int64(rest), slowest*takes(max(bytes, records*recordBytes))))
	for {
		paid := f.paid.Load()
		if f.paid.CompareAndSwap(paid, max(paid, int64(now))+cost) {
			return
		}
	}
}

// HandOver is how far the hand-over of a bucket is, as one of its two groups sees it.
type HandOver struct {
	Bucket        uint32 `json:"bucket"`
	Group         uint64 `json:"group"`
	State         string `json:"state"` // giving, frozen: it goes to Other; installing: it comes from there
	Other         uint64 `json:"other"`
	ConfigVersion uint64 `json:"config_version"` // of the move
	Chunks        uint64 `json:"chunks"`         // that have come
	Copied        bool   `json:"copied"`         // all has come once; what changes comes after
	Bytes         uint64 `json:"bytes"`          // that have come
	Behind        uint64 `json:"behind"`         // bytes that have changed and not come; at the giver: since it gives
}

// handOvers are what the groups of this node know of buckets on their way, by bucket.
func (s snapshot) handOvers() []HandOver {
	var all []HandOver
	for group, view := range s.views {
		for _, t := range view.Migrations {
			all = append(all, HandOver{
				Bucket: t.Bucket, Group: uint64(group), State: t.State.String(), Other: t.Counterpart, ConfigVersion: t.ConfigVersion,
				Chunks: t.NextChunk, Copied: t.Copied, Bytes: t.ReceivedBytes, Behind: t.BacklogBytes,
			})
		}
	}
	slices.SortFunc(all, func(a, b HandOver) int {
		return cmp.Or(cmp.Compare(a.Bucket, b.Bucket), cmp.Compare(a.Group, b.Group))
	})
	return all
}

// HandOvers are the hand-overs in which groups of this node take part, by bucket.
func (n *Node) HandOvers() []HandOver { return n.n.board.snapshot().handOvers() }
