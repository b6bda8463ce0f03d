package clustertest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
)

// digest is what a replica's data is at, and a sum over all of it.
type digest struct{ index, sum uint64 }

// alike waits until all replicas of each group have applied the same, and checks that they are the same then, in data
// and in log.
func (s *Simulation) alike() {
	for until := s.Now() + healing; ; {
		different := s.unequal()
		switch {
		case len(s.Oracle.Violations) > 0:
			return
		case different == "":
			s.compareLogs()
			return
		case s.Now() >= until:
			s.Oracle.violated("Liveness", "replicas are not equal %v after everything has healed: %s", healing, different)
			return
		}
		again := s.Now() + 100*time.Millisecond
		s.until(func() bool { return s.Now() >= again }, time.Second)
	}
}

// unequal tells which replicas of a group have not applied the same yet. Those that have must be equal.
func (s *Simulation) unequal() string {
	different := ""
	all := s.digests(nil)
	for _, group := range slices.Sorted(maps.Keys(all)) {
		replicas, newest := all[group], digest{}
		for _, m := range slices.Sorted(maps.Keys(replicas)) {
			d := replicas[m]
			switch {
			case newest.index == 0:
				newest = d
			case d.index != newest.index:
				different = fmt.Sprintf("n%d has applied group %d up to %d, others up to %d", m, group, d.index, newest.index)
			case d.sum != newest.sum:
				s.Oracle.violated("Replicas are equal", "n%d has other data than others at index %d of group %d", m, d.index, group)
			}
		}
	}
	return different
}

// digests asks every replica that ought to be there. each, if it is given, sees all records.
func (s *Simulation) digests(each func(m *Member, group messages.GroupID, key, value []byte)) map[messages.GroupID]map[int]digest {
	all, open := map[messages.GroupID]map[int]digest{}, 0
	for _, m := range s.Members {
		for _, group := range m.hosts() {
			if all[group] == nil {
				all[group] = map[int]digest{}
			}
			open++
			var see func(key, value []byte)
			if each != nil {
				see = func(key, value []byte) { each(m, group, key, value) }
			}
			m.at.System().Root.Send(actor.NewPID(m.at.Address(), raftactor.ApplierPath(group)), raftactor.Digest{
				Each: see,
				Done: func(index, sum uint64) {
					open--
					all[group][m.number] = digest{index, sum}
				},
			})
		}
	}
	if !s.until(func() bool { return open == 0 }, healing) && len(s.Oracle.Violations) == 0 {
		s.Oracle.violated("Liveness", "%d replicas do not say what they have applied", open)
	}
	return all
}

// hosts are the groups of which the config wants a replica on a node, and which it knows.
func (m *Member) hosts() []messages.GroupID {
	id, _, err := persistence.LoadIdentity(m.disks[0])
	known, failed := persistence.OpenLog(m.disks[0]).Groups()
	if err = errors.Join(err, failed); err != nil {
		m.s.Oracle.violated("Disks can be read", "n%d: %v", m.number, err)
	}
	return slices.DeleteFunc(known, func(group messages.GroupID) bool {
		return !slices.ContainsFunc(m.s.Oracle.config.GetGroups(), func(g *messages.Group) bool {
			return g.Id == uint64(group) && slices.Contains(g.Nodes, uint64(id.Node))
		})
	})
}

// compareLogs checks that logs are the same where they overlap, and that their disks are sound.
func (s *Simulation) compareLogs() {
	seen := map[entryAt]*messages.Entry{}
	for _, m := range s.Members {
		for _, group := range m.hosts() {
			loaded, err := persistence.OpenLog(m.disks[0]).Load(group)
			if err != nil {
				s.Oracle.violated("Disks can be read", "n%d: %v", m.number, err)
				return
			}
			for _, e := range loaded.Entries {
				at := entryAt{group, e.Index}
				if was := seen[at]; was != nil && !proto.Equal(was, e) {
					s.Oracle.violated("Replicas are equal", "n%d has another entry %d in the log of group %d than others", m.number, e.Index, group)
				}
				seen[at] = e
			}
		}
	}
}
