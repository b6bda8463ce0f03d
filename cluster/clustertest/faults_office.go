package clustertest

import (
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
)

// outlive lets a leader be succeeded while it believes that it leads, in one of the ways that need more than one thing to
// go wrong: its clock is slow, clients still reach it, and the others, whom it does not reach any more, have just let it
// go, have forgotten it, or said something long ago that it hears now.
func (w *Swarm) outlive() {
	group := messages.GroupID(w.rng.IntN(w.s.groups() + 1))
	m := w.s.Oracle.newest[group]
	if m == nil || m.Node == nil {
		return
	}
	others := w.replicas(group, m)
	if len(others) < 2 {
		return
	}
	m.at.Clock().Skew(slowestClock)
	switch w.rng.IntN(4) {
	case 0:
		w.letGo(m, group)
	case 1:
		w.forget(m, others)
	case 2:
		w.answerLate(m)
	case 3:
		w.comeBack(m, group)
	}
	w.passing(3*time.Second, func() {
		w.s.Network().Heal()
		w.s.Network().SetMessageFaults(nil)
		m.at.Clock().Skew(1)
	})
}

// replicas are those who live and have a replica of a group, but for one.
func (w *Swarm) replicas(group messages.GroupID, but *Member) []*Member {
	conf := w.s.Oracle.promises.group(group).conf
	var all []*Member
	for _, id := range conf.GetVoters() {
		if m := w.s.Oracle.promises.nodes[id]; m != nil && m != but && m.Node != nil {
			all = append(all, m)
		}
	}
	return all
}

// after does something within a time, unless the faults have ended by then.
func (w *Swarm) after(longest time.Duration, do func()) {
	w.s.At(w.s.Now()+time.Duration(w.rng.Int64N(int64(longest))), func() {
		if w.s.Now() < w.until {
			do()
		}
	})
}

func (w *Swarm) cutOff(m *Member, from ...*Member) {
	for _, other := range from {
		w.s.Network().Cut(m.at.Address(), other.at.Address())
		w.s.Network().Cut(other.at.Address(), m.at.Address())
	}
}

func (w *Swarm) isolated(m *Member) {
	others := slices.DeleteFunc(slices.Clone(w.s.Members), func(other *Member) bool { return other == m })
	w.cutOff(m, others...)
}

// letGo: it hands over, and hears of nothing after that.
func (w *Swarm) letGo(m *Member, group messages.GroupID) {
	w.tell(m, group, raftactor.TransferLeadership{})
	w.after(20*time.Millisecond, func() { w.isolated(m) })
}

// forget: only one replica hears it, which then loses its power and, when it is back, hears only the others.
func (w *Swarm) forget(m *Member, others []*Member) {
	last := others[w.rng.IntN(len(others))]
	w.cutOff(m, slices.DeleteFunc(slices.Clone(others), func(other *Member) bool { return other == last })...)
	w.s.At(w.s.Now()+400*time.Millisecond+time.Duration(w.rng.Int64N(int64(800*time.Millisecond))), func() {
		if w.s.Now() < w.until {
			last.Crash()
			w.cutOff(m, last)
			last.Start()
		}
	})
}

// answerLate: what others answer reaches it late, and from some time on not at all.
func (w *Swarm) answerLate(m *Member) {
	late := actortest.Faults{Min: time.Duration(100+w.rng.IntN(300)) * time.Millisecond}
	late.Max = late.Min + 100*time.Millisecond
	w.s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
		if _, raft := e.Message.(*messages.RaftMessages); raft && e.To == m.at.Address() {
			return late
		}
		return actortest.Faults{}
	})
	w.after(1500*time.Millisecond, func() { w.isolated(m) })
}

// comeBack: it loses its office and wins it again, while answers from before are still on their way.
func (w *Swarm) comeBack(m *Member, group messages.GroupID) {
	late := actortest.Faults{Duplicate: 0.8, Echo: 3 * time.Second}
	w.s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
		if e.To == m.at.Address() {
			return late
		}
		return actortest.Faults{}
	})
	id := m.id()
	w.tell(m, group, raftactor.TransferLeadership{})
	w.s.At(w.s.Now()+300*time.Millisecond, func() {
		if now := w.s.Oracle.newest[group]; now != nil && now.Node != nil && now != m && m.Node != nil {
			w.tell(now, group, raftactor.TransferLeadership{To: id})
		}
	})
	w.s.At(w.s.Now()+600*time.Millisecond, func() {
		if w.s.Now() < w.until && w.s.Oracle.newest[group] == m {
			w.isolated(m)
		}
	})
}
