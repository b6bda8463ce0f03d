package clustertest

import (
	"errors"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/raftactor"
)

// slowDisk makes every write wait, some of them so long that the disk looks dead.
func (w *Swarm) slowDisk() {
	m, worst, rng := w.anyNode(), time.Duration(1+w.rng.IntN(300))*time.Millisecond, w.rng
	if rng.IntN(4) == 0 {
		worst *= 5
	}
	m.slow(func() time.Duration { return time.Duration(rng.Int64N(int64(worst))) })
	w.endWithin(4*time.Second, func() { m.slow(nil) })
}

// slowLogs lets every write of the log take its time on all nodes, as on a disk that is shared with others: from fast to longer than
// an election timeout.
func (w *Swarm) slowLogs() {
	rng, usual := w.rng, time.Duration(20+w.rng.IntN(1980))*time.Millisecond
	for _, m := range w.s.Nodes {
		m.machine.Slow("persistence/log", func() time.Duration { return usual/2 + time.Duration(rng.Int64N(int64(usual))) })
	}
	w.endWithin(8*time.Second, func() {
		for _, m := range w.s.Nodes {
			m.machine.Slow("persistence/log", nil)
		}
	})
}

// hangState lets a group's data on one node be read and written so slowly, for a while, that it looks dead, and the disk of all data
// of that node as well.
func (w *Swarm) hangState() {
	m, rng, worst := w.anyNode(), w.rng, time.Duration(1+w.rng.IntN(8))*time.Second
	hang := func() time.Duration { return time.Duration(rng.Int64N(int64(worst))) }
	paths := []string{"persistence/state", raftactor.ApplierPath(messages.GroupID(rng.IntN(w.s.groupCount() + 1)))}
	for _, path := range paths {
		m.machine.Slow(path, hang)
	}
	w.endWithin(6*time.Second, func() {
		for _, path := range paths {
			m.machine.Slow(path, nil)
		}
	})
}

// slow makes both disks wait before each write, or no longer.
func (m *SimNode) slow(delay func() time.Duration) {
	m.machine.Slow("host", delay)
	m.machine.Slow("persistence/log", delay)
	m.machine.Slow("persistence/state", delay)
	m.machine.Slow("persistence/state/sync", delay)
}

// SlowSyncOfState makes each sync of the data take so much longer, and nothing else.
func (m *SimNode) SlowSyncOfState(delay time.Duration) {
	m.machine.Slow("persistence/state/sync", func() time.Duration { return delay })
}

// SlowApply makes the Applier of a group take so much longer for whatever it does; 0 ends it.
func (m *SimNode) SlowApply(group messages.GroupID, delay time.Duration) {
	if delay == 0 {
		m.machine.Slow(raftactor.ApplierPath(group), nil)
		return
	}
	m.machine.Slow(raftactor.ApplierPath(group), func() time.Duration { return delay })
}

var errSync = errors.New("input/output error (simulated)")

// failSync breaks the disk of the log once: the node must stop, and comes back with what was really there.
func (w *Swarm) failSync() {
	m := w.anyNode()
	log, _ := m.Disks()
	log.SetFaults(memory.Faults{Sync: func() error { return errSync }})
	w.endWithin(2*time.Second, func() {
		m.repair()
		m.Start()
	})
}

// diskSize is large enough that nodes keep a whole GiB of it free.
const diskSize = 1 << 40

// Leave lets the disks of a node have only so many bytes left, or, with 0, all that they had.
func (m *SimNode) SetFreeBytes(bytes uint64) {
	if m.freeBytes = bytes; bytes == 0 {
		m.freeBytes = diskSize
	}
}

// fillDisks lets the disks of some nodes fill up to where they take only what makes data smaller, or nothing at all.
func (w *Swarm) fillDisks() {
	for _, m := range w.s.Nodes {
		if w.rng.IntN(2) == 0 {
			m.SetFreeBytes(1<<20 + uint64(w.rng.Int64N(1<<30)))
			w.endWithin(6*time.Second, func() { m.SetFreeBytes(0) })
		}
	}
}

// fullDisk lets one of the two disks take no more: the node must stop, and comes back when there is room again.
func (w *Swarm) fullDisk() {
	m := w.anyNode()
	m.disks[w.rng.IntN(2)].SetFaults(memory.Faults{Limit: 1})
	w.endWithin(2*time.Second, func() {
		m.repair()
		m.Start()
	})
}

// flipBit loses power, and one bit of what the disk of the log has is read wrong from then on: the node must find that
// when it starts, and must not run.
func (w *Swarm) flipBit() {
	m := w.anyNode()
	m.Crash()
	var keys [][]byte
	err := m.disks[0].Scan(nil, nil, func(key, _ []byte) bool {
		keys = append(keys, key)
		return true
	})
	if err != nil || len(keys) == 0 {
		m.Start()
		return
	}
	m.disks[0].FlipBit(keys[w.rng.IntN(len(keys))], w.rng.IntN(1<<12))
	m.damaged = true
	w.endWithin(time.Second, m.Start)
	w.endWithin(4*time.Second, func() {
		if m.repair(); m.Node == nil {
			m.Start()
		}
	})
}

// loseBlock lets a block of the data of a node be lost, while it serves or while it is down: the node must stop as soon as
// it reads there, and not start. It comes back with empty disks, as another one, or with what it had.
func (w *Swarm) loseBlock() {
	m := w.anyNode()
	if w.rng.IntN(2) == 0 {
		m.Crash()
	}
	if m.damageRecords(w.rng.Int(), 1+w.rng.IntN(8)) {
		w.Counts["block lost"]++
	}
	w.endWithin(time.Second, m.Start)
	wipes := w.rng.IntN(2) == 0
	w.endWithin(4*time.Second, func() {
		if m.Node == nil && wipes && w.mayWipe() && w.s.Oracle.fullyReplicated() {
			w.wiped = true
			w.Counts["damaged disk wiped"]++
			m.Wipe()
		}
		m.repair()
		m.Start()
	})
}

// loses damages some neighbouring records of the data that are on the disk, and tells whether there were any.
func (m *SimNode) damageRecords(nth, count int) bool {
	var keys [][]byte
	err := m.disks[1].Synced().Scan(nil, nil, func(key, _ []byte) bool {
		keys = append(keys, key)
		return true
	})
	if err != nil || len(keys) == 0 {
		return false
	}
	first := nth % len(keys)
	for _, key := range keys[first:min(first+count, len(keys))] {
		m.damaged = m.disks[1].FailChecksum(key) || m.damaged
	}
	return m.damaged
}

// mountHalf lets a node that has lost power find only one of its two disks, as if a volume were not mounted: it must not start,
// under its name or as anybody else. With both disks it comes back as it was.
func (w *Swarm) mountHalf() {
	m := w.anyNode()
	m.Crash()
	w.endWithin(time.Second, m.Start)
	if m.damaged || m.id() == 0 {
		return
	}
	lost := w.rng.IntN(2)
	kept := m.disks[lost]
	m.disks[lost], m.halfMounted = memory.NewSingleThreaded(), true
	if m.Start(); m.Node != nil {
		m.sim.Oracle.violated("Half a directory is refused", "n%d starts without disk %d", m.number, lost)
		return
	}
	m.disks[lost], m.halfMounted = kept, false
	m.sim.Oracle.noteIdentity(m)
}

// mayWipe tells whether the run can still do without the disks of a node.
func (w *Swarm) mayWipe() bool { return !w.wiped && !w.underReplicated && w.s.Now() < w.until }

// wipe empties the disks of one node, once in a run, and only in one in which all groups have all their replicas: more must
// not get lost at once. The node comes back as another one, which takes the place of the one that it was.
func (w *Swarm) wipeDisk() {
	if !w.mayWipe() {
		return
	}
	m, rng := w.anyNode(), w.rng
	if !w.s.Oracle.fullyReplicated() {
		w.s.At(w.s.Now()+300*time.Millisecond, func() {
			w.rng = rng
			w.wipeDisk()
		})
		return
	}
	w.wiped = true
	w.Counts["disk wiped"]++
	m.Crash()
	m.Wipe()
	w.endWithin(2*time.Second, m.Start)
}

// repair ends all that is wrong with the disks of a node. One that has run on a damaged log has broken a rule: it reads all
// of it when it starts. Of the data it may not have read the part that is lost.
func (m *SimNode) repair() {
	for i, disk := range m.disks {
		disk.SetFaults(memory.Faults{})
		if disk.Repair() && i == 0 && m.Node != nil && m.Node.Ready() {
			m.sim.Oracle.violated("Corruption is detected", "n%d serves although its disk has a flipped bit", m.number)
		}
	}
	m.damaged = false
	m.SetFreeBytes(0)
}
