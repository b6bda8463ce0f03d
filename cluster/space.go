package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// A node keeps a reserve of its disk free, so that it never comes to where nothing can be deleted, compacted or replayed any more.
// Below the reserve its groups take only what makes data smaller, and their leaders hand over to nodes with room. Below a quarter
// of it a replica takes no more of its log either: the others are a quorum without it, and it catches up when there is room.

// space decides from how much is free what a node still takes.
type space struct {
	reserve uint64
	low     bool // no more data
	starved bool // no more log
}

const (
	mostReserve  = 1 << 30
	leastReserve = 256 << 20 // what a node has in memory, and has yet to write as tables, takes that much
	reservePart  = 10        // of the file system, the default is one part of so many, between the two
	starvedPart  = 4         // of the reserve
	weighEvery   = time.Second
)

// note takes how many bytes are free, and tells whether anything changes by it. What has begun ends with a quarter more than
// where it began, so that a compaction that comes and goes does not change it every second.
func (s *space) note(free uint64) (changed bool) {
	before := *s
	s.low = below(free, s.reserve, s.low)
	s.starved = below(free, s.reserve/starvedPart, s.starved)
	return *s != before
}

func below(free, limit uint64, was bool) bool {
	if was {
		limit += limit / 4
	}
	return free < limit
}

// reserveOf is the reserve on a file system of that size.
func reserveOf(configured, total uint64) uint64 {
	return cmp.Or(configured, min(mostReserve, max(leastReserve, total/reservePart)))
}

// freeBytes is the free space for the engines of a data directory, of the fuller one if they are on two file systems.
func freeBytes(dir string) (free, total uint64, err error) {
	for _, part := range []string{"log", "state"} {
		var s syscall.Statfs_t
		path := filepath.Join(dir, part)
		if err := syscall.Statfs(path, &s); err != nil {
			return 0, 0, fmt.Errorf("free space of %s: %w", path, err)
		}
		if f := s.Bavail * uint64(s.Bsize); total == 0 || f < free {
			free, total = f, s.Blocks*uint64(s.Bsize)
		}
	}
	return free, total, nil
}

// startBytes is what a start writes beside what it takes from its write-ahead files.
const startBytes = 8 << 20

// roomToStart refuses a start that would fill the disk: what the write-ahead files of the log hold is written as tables first.
func roomToStart(dir string, look func(string) (free, total uint64, err error)) error {
	free, _, err := look(dir)
	if err != nil {
		return err
	}
	needed := uint64(startBytes)
	files, err := os.ReadDir(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if filepath.Ext(file.Name()) != ".log" {
			continue
		}
		info, err := file.Info()
		if err != nil {
			return err
		}
		needed += uint64(info.Size())
	}
	if free >= needed {
		return nil
	}
	return fmt.Errorf("the disk of %s has %d MiB left, but a start may need %d MiB to take over its log: make room, and start the node again; "+
		"nothing acknowledged is lost", dir, free>>20, (needed+1<<20-1)>>20)
}

// DiskSpace tells that what this node takes has changed with the free space of its disk.
type DiskSpace struct {
	FreeBytes, ReserveBytes uint64
	Low                     bool // only what makes data smaller is taken
	Starved                 bool // nothing of the logs is
}

func (DiskSpace) EventName() string { return "disk space" }

// weigh looks at the free space once more.
type weigh struct{}

func (h *Host) weighLater() {
	h.n.system.Clock.After(weighEvery, func() { h.n.send(h.n.pids.host, weigh{}) })
}

// onWeigh tells the replicas when what this node, or another one, still takes has changed.
func (h *Host) onWeigh() error {
	free, total, err := h.n.c.Ground.Free(h.n.c.Dir)
	if err != nil {
		return err
	}
	h.space.reserve = reserveOf(h.n.c.ReserveBytes, total)
	if h.weighed++; h.weighed%filesEvery == 1 {
		if err := h.weighFiles(free, total); err != nil {
			return err
		}
	}
	changed := h.space.note(free)
	if changed {
		h.n.board.setLow(h.space.low)
		h.n.system.Events(DiskSpace{FreeBytes: free, ReserveBytes: h.space.reserve, Low: h.space.low, Starved: h.space.starved})
	}
	if full := h.n.board.full(); changed || !slices.Equal(full, h.full) {
		h.full = full
		h.desire(h.config)
	}
	h.weighLater()
	return nil
}

// filesEvery is how often the node's files are looked at, in looks at the free space.
const filesEvery = 10

// weighFiles notes what the node has on its disk, for people.
func (h *Host) weighFiles(free, total uint64) error {
	bytes := map[string]uint64{"free": free, "total": total, "reserve": h.space.reserve}
	for _, part := range []string{"log", "state"} {
		if h.n.lock == nil {
			continue // a simulation has no files
		}
		size, err := filesIn(filepath.Join(h.n.c.Dir, part))
		if err != nil {
			return err
		}
		bytes[part] = size
	}
	h.n.board.setDisk(bytes)
	return nil
}

// filesIn is how large the files of a directory are together. One that goes meanwhile does not count.
func filesIn(dir string) (bytes uint64, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("size of %s: %w", dir, err)
	}
	for _, file := range files {
		info, err := file.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("size of %s: %w", dir, err)
		}
		bytes += uint64(info.Size())
	}
	return bytes, nil
}

// desire tells the replicas of this node where they should be, and which nodes have no room.
func (h *Host) desire(config *messages.Config) {
	self := uint64(h.n.identity().Node)
	for _, group := range config.GetGroups() {
		if id := messages.GroupID(group.Id); h.running[id] {
			h.n.send(h.n.peer(id), raftactor.ReplicaTarget{
				Nodes: group.Nodes, StepAside: yields(config, self), FullNodes: h.full, OutOfSpace: h.space.starved,
			})
		}
	}
}
