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

// A node keeps a reserve of its disk free: without free space it could neither delete nor compact nor replay anything. Below the
// reserve its groups accept only commands that make data smaller, and their leaders transfer leadership to nodes with more space.
// Below a quarter of the reserve its replicas accept no log entries either: the other replicas are a quorum without them, and they
// catch up when there is space again.

// space decides from the free disk space what a node still accepts. It is pure; the Host owns it.
type space struct {
	reserve uint64 // bytes to keep free
	low     bool   // below the reserve: no commands that make data larger
	starved bool   // below reserve/starvedPart: no log entries either
}

const (
	maxReserve         = 1 << 30
	minReserve         = 256 << 20 // bytes; the data in memory that a node still has to write as tables takes that much
	reservePart        = 10        // the default reserve is the file system's size divided by this, between the two bounds
	starvedPart        = 4         // starved begins at the reserve divided by this
	spaceCheckInterval = time.Second
)

// update takes the free bytes and reports whether low or starved changed. Each ends only at a quarter more than the limit at which
// it began, so that a compaction, which needs space for a while, does not change it every second.
func (s *space) update(free uint64) (changed bool) {
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

// reserveOf returns the reserve on a file system of total bytes: the configured one, or the default if configured is 0.
func reserveOf(configured, total uint64) uint64 {
	return cmp.Or(configured, min(maxReserve, max(minReserve, total/reservePart)))
}

// freeBytes returns the free space for the engines of a data directory: that of the fuller file system if they are on two.
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

// startBytes is what a start writes beside the contents of the write-ahead files.
const startBytes = 8 << 20

// checkStartSpace refuses a start that would fill the disk: a start writes the contents of the log's write-ahead files as tables.
func checkStartSpace(dir string, look func(string) (free, total uint64, err error)) error {
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

// DiskSpace tells that this node accepts more or less than before, since the free space of its disk has changed.
type DiskSpace struct {
	FreeBytes, ReserveBytes uint64
	Low                     bool // only commands that make data smaller are accepted
	Starved                 bool // log entries are not accepted either
}

func (DiskSpace) EventName() string { return "disk space" }

// checkSpace makes the Host look at the free disk space.
type checkSpace struct{}

func (h *Host) scheduleSpaceCheck() {
	h.n.system.Clock.After(spaceCheckInterval, func() { h.n.send(h.n.pids.host, checkSpace{}) })
}

// onCheckSpace tells the replicas when this node, or another one, has come to accept more or less.
func (h *Host) onCheckSpace() error {
	free, total, err := h.n.config.Overrides.Free(h.n.config.Dir)
	if err != nil {
		return err
	}
	h.space.reserve = reserveOf(h.n.config.ReserveBytes, total)
	if h.spaceChecks++; h.spaceChecks%fileMeasureInterval == 1 {
		if err := h.measureFiles(free, total); err != nil {
			return err
		}
	}
	changed := h.space.update(free)
	if changed {
		h.n.status.setLowSpace(h.space.low)
		h.n.system.Events(DiskSpace{FreeBytes: free, ReserveBytes: h.space.reserve, Low: h.space.low, Starved: h.space.starved})
	}
	if full := h.n.status.fullNodes(); changed || !slices.Equal(full, h.fullNodes) {
		h.fullNodes = full
		h.sendTargets(h.config)
	}
	h.scheduleSpaceCheck()
	return nil
}

// fileMeasureInterval is how often the node's files are measured, in checks of the free space.
const fileMeasureInterval = 10

// measureFiles publishes the sizes of the node's files, for the metrics.
func (h *Host) measureFiles(free, total uint64) error {
	bytes := map[string]uint64{"free": free, "total": total, "reserve": h.space.reserve}
	for _, part := range []string{"log", "state"} {
		if h.n.lock == nil {
			continue // a simulation has no files
		}
		size, err := directorySize(filepath.Join(h.n.config.Dir, part))
		if err != nil {
			return err
		}
		bytes[part] = size
	}
	h.n.status.setDisk(bytes)
	return nil
}

// directorySize returns the size of all files of a directory. A file that is deleted meanwhile does not count.
func directorySize(dir string) (bytes uint64, err error) {
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

// sendTargets tells each replica of this node where its group should have replicas, and which nodes have no disk space.
func (h *Host) sendTargets(config *messages.Config) {
	self := uint64(h.n.identity().Node)
	for _, group := range config.GetGroups() {
		if id := messages.GroupID(group.Id); h.running[id] {
			h.n.send(h.n.peer(id), raftactor.ReplicaTarget{
				Nodes: group.Nodes, StepAside: yieldsLeadership(config, self), FullNodes: h.fullNodes, OutOfSpace: h.space.starved,
			})
		}
	}
}
