package clustertest

import (
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// keepStaleLeader makes another replica leader while the old leader takes itself for the leader, in one of several ways that need more
// than one fault: its clock is slow, clients still reach it, and it is cut off from the others after a leadership transfer, after a
// crash of the only follower that heard it, or while old replies still arrive.
func (w *Swarm) keepStaleLeader() {
	group := messages.GroupID(w.rng.IntN(w.s.groupCount() + 1))
	m := w.s.Oracle.lastElected[group]
	if m == nil || m.Node == nil {
		return
	}
	others := w.replicas(group, m)
	if len(others) < 2 {
		return
	}
	m.machine.Clock().Skew(slowestClock)
	switch w.rng.IntN(4) {
	case 0:
		w.isolateAfterTransfer(m, group)
	case 1:
		w.isolateAfterCrash(m, others)
	case 2:
		w.isolateWithLateReplies(m)
	case 3:
		w.isolateAfterReelection(m, group)
	}
	w.endWithin(3*time.Second, func() {
		w.s.Network().Heal()
		w.s.Network().SetMessageFaults(nil)
		m.machine.Clock().Skew(1)
	})
}

// replicas returns the running voters of a group, except one.
func (w *Swarm) replicas(group messages.GroupID, but *SimNode) []*SimNode {
	conf := w.s.Oracle.raft.group(group).members
	var all []*SimNode
	for _, id := range conf.GetVoters() {
		if m := w.s.Oracle.raft.byID[id]; m != nil && m != but && m.Node != nil {
			all = append(all, m)
		}
	}
	return all
}

// after calls do within a time, unless the faults have ended by then.
func (w *Swarm) after(longest time.Duration, do func()) {
	w.s.At(w.s.Now()+time.Duration(w.rng.Int64N(int64(longest))), func() {
		if w.s.Now() < w.until {
			do()
		}
	})
}

func (w *Swarm) cutBothWays(m *SimNode, from ...*SimNode) {
	for _, other := range from {
		w.s.Network().Cut(m.machine.Address(), other.machine.Address())
		w.s.Network().Cut(other.machine.Address(), m.machine.Address())
	}
}

func (w *Swarm) isolateNode(m *SimNode) {
	others := slices.DeleteFunc(slices.Clone(w.s.Nodes), func(other *SimNode) bool { return other == m })
	w.cutBothWays(m, others...)
}

// isolateAfterTransfer: the leader transfers leadership, and is cut off at once.
func (w *Swarm) isolateAfterTransfer(m *SimNode, group messages.GroupID) {
	w.sendPeer(m, group, raftactor.TransferLeadership{})
	w.after(20*time.Millisecond, func() { w.isolateNode(m) })
}

// isolateAfterCrash: only one follower hears the leader; it loses power, and when it is back it hears only the others.
func (w *Swarm) isolateAfterCrash(m *SimNode, others []*SimNode) {
	last := others[w.rng.IntN(len(others))]
	w.cutBothWays(m, slices.DeleteFunc(slices.Clone(others), func(other *SimNode) bool { return other == last })...)
	w.s.At(w.s.Now()+400*time.Millisecond+time.Duration(w.rng.Int64N(int64(800*time.Millisecond))), func() {
		if w.s.Now() < w.until {
			last.Crash()
			w.cutBothWays(m, last)
			last.Start()
		}
	})
}

// isolateWithLateReplies: replies reach the leader late, and later not at all.
func (w *Swarm) isolateWithLateReplies(m *SimNode) {
	late := actortest.Faults{Min: time.Duration(100+w.rng.IntN(300)) * time.Millisecond}
	late.Max = late.Min + 100*time.Millisecond
	w.s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
		if _, raft := e.Message.(*messages.RaftMessages); raft && e.To == m.machine.Address() {
			return late
		}
		return actortest.Faults{}
	})
	w.after(1500*time.Millisecond, func() { w.isolateNode(m) })
}

// isolateAfterReelection: the leader loses leadership and wins it again while replies to its first term are still in flight.
func (w *Swarm) isolateAfterReelection(m *SimNode, group messages.GroupID) {
	late := actortest.Faults{Duplicate: 0.8, Echo: 3 * time.Second}
	w.s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
		if e.To == m.machine.Address() {
			return late
		}
		return actortest.Faults{}
	})
	id := m.id()
	w.sendPeer(m, group, raftactor.TransferLeadership{})
	w.s.At(w.s.Now()+300*time.Millisecond, func() {
		if now := w.s.Oracle.lastElected[group]; now != nil && now.Node != nil && now != m && m.Node != nil {
			w.sendPeer(now, group, raftactor.TransferLeadership{To: id})
		}
	})
	w.s.At(w.s.Now()+600*time.Millisecond, func() {
		if w.s.Now() < w.until && w.s.Oracle.lastElected[group] == m {
			w.isolateNode(m)
		}
	})
}
