package clustertest

import (
	"errors"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/raftactor"
)

// slowDisk delays every write of a node, some of them so long that the disk looks dead.
func (w *Swarm) slowDisk() {
	m, worst, rng := w.anyNode(), time.Duration(1+w.rng.IntN(300))*time.Millisecond, w.rng
	if rng.IntN(4) == 0 {
		worst *= 5
	}
	m.slow(func() time.Duration { return time.Duration(rng.Int64N(int64(worst))) })
	w.endWithin(4*time.Second, func() { m.slow(nil) })
}

// slowLogs delays every write of the log on all nodes, as on a shared disk: up to longer than an election timeout.
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

// hangState delays reads and writes of a group's data on one node, and writes of all data of that node, so long that the disk looks
// dead.
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

// slow delays each write of both disks; nil ends the delay.
func (m *SimNode) slow(delay func() time.Duration) {
	m.machine.Slow("host", delay)
	m.machine.Slow("persistence/log", delay)
	m.machine.Slow("persistence/state", delay)
	m.machine.Slow("persistence/state/sync", delay)
}

// SlowSyncOfState delays each sync of the data, and nothing else.
func (m *SimNode) SlowSyncOfState(delay time.Duration) {
	m.machine.Slow("persistence/state/sync", func() time.Duration { return delay })
}

// SlowApply delays every message of a group's Applier; 0 ends the delay.
func (m *SimNode) SlowApply(group messages.GroupID, delay time.Duration) {
	if delay == 0 {
		m.machine.Slow(raftactor.ApplierPath(group), nil)
		return
	}
	m.machine.Slow(raftactor.ApplierPath(group), func() time.Duration { return delay })
}

var errSync = errors.New("input/output error (simulated)")

// failSync makes a sync of the log fail: the node must stop, and comes back with what is on the disk.
func (w *Swarm) failSync() {
	m := w.anyNode()
	log, _ := m.Disks()
	log.SetFaults(memory.Faults{Sync: func() error { return errSync }})
	w.endWithin(2*time.Second, func() {
		m.repair()
		m.Start()
	})
}

// diskSize is the size of simulated file systems in bytes: large enough for the largest default reserve.
const diskSize = 1 << 40

// SetFreeBytes sets the free space of a node's file system; 0: all of it.
func (m *SimNode) SetFreeBytes(bytes uint64) {
	if m.freeBytes = bytes; bytes == 0 {
		m.freeBytes = diskSize
	}
}

// fillDisks fills the disks of some nodes until they accept only commands that make data smaller, or nothing at all.
func (w *Swarm) fillDisks() {
	for _, m := range w.s.Nodes {
		if w.rng.IntN(2) == 0 {
			m.SetFreeBytes(1<<20 + uint64(w.rng.Int64N(1<<30)))
			w.endWithin(6*time.Second, func() { m.SetFreeBytes(0) })
		}
	}
}

// fullDisk makes writes to one of the two disks fail: the node must stop, and comes back when there is space again.
func (w *Swarm) fullDisk() {
	m := w.anyNode()
	m.disks[w.rng.IntN(2)].SetFaults(memory.Faults{Limit: 1})
	w.endWithin(2*time.Second, func() {
		m.repair()
		m.Start()
	})
}

// flipBit cuts the power of a node and flips one bit on the disk of its log: the node must detect that at its start, and not run.
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

// loseBlock makes a block of a node's data unreadable, while the node runs or is stopped: the node must stop when it reads there, and
// not start. It comes back with empty disks, as another node, or with its repaired data.
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

// damageRecords makes some neighbouring records of the data on the disk unreadable, and reports whether there were any.
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

// mountHalf lets a node that has lost power find only one of its two disks, as if a volume were not mounted: it must not start, as
// itself or as another node. With both disks it comes back.
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

// mayWipe reports whether the run can still do without the disks of a node.
func (w *Swarm) mayWipe() bool { return !w.wiped && !w.underReplicated && w.s.Now() < w.until }

// wipeDisk empties the disks of one node, once in a run, when all groups have all their replicas: more must not get lost at once. The
// node comes back as another node, which replaces the old one.
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

// repair ends all disk faults of a node. A node that is ready on a damaged log has broken a rule: it reads the whole log when it
// starts. Of its data it may not have read the damaged part.
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
