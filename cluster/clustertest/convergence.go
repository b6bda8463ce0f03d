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

// digest is the index that a replica has applied, and a checksum of all its data at that index.
type digest struct{ index, sum uint64 }

// checkConvergence waits until all replicas of each group have applied the same index, and checks that they have the same data and
// the same log entries then.
func (s *Simulation) checkConvergence() {
	for until := s.Now() + healTime; ; {
		different := s.divergence()
		switch {
		case len(s.Oracle.Violations) > 0:
			return
		case different == "":
			s.compareLogs()
			return
		case s.Now() >= until:
			s.Oracle.violated("Liveness", "replicas are not equal %v after everything has healed: %s", healTime, different)
			return
		}
		again := s.Now() + 100*time.Millisecond
		s.runUntil(func() bool { return s.Now() >= again }, time.Second)
	}
}

// divergence names a replica that has not applied the same index as the others of its group; "": all have. It checks that replicas
// at the same index have the same data.
func (s *Simulation) divergence() string {
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

// digests asks every replica that the config wants for its digest. each is optional: it is called with every record.
func (s *Simulation) digests(each func(m *SimNode, group messages.GroupID, key, value []byte)) map[messages.GroupID]map[int]digest {
	all, open := map[messages.GroupID]map[int]digest{}, 0
	for _, m := range s.Nodes {
		for _, group := range m.hostedGroups() {
			if all[group] == nil {
				all[group] = map[int]digest{}
			}
			open++
			var see func(key, value []byte)
			if each != nil {
				see = func(key, value []byte) { each(m, group, key, value) }
			}
			m.machine.System().Root.Send(actor.NewPID(m.machine.Address(), raftactor.ApplierPath(group)), raftactor.Digest{
				Each: see,
				Done: func(index, sum uint64) {
					open--
					all[group][m.number] = digest{index, sum}
				},
			})
		}
	}
	if !s.runUntil(func() bool { return open == 0 }, healTime) && len(s.Oracle.Violations) == 0 {
		s.Oracle.violated("Liveness", "%d replicas do not say what they have applied", open)
	}
	return all
}

// hostedGroups returns the groups that the config places on the node and that the node's log knows.
func (m *SimNode) hostedGroups() []messages.GroupID {
	id, _, err := persistence.LoadIdentity(m.disks[0])
	known, failed := persistence.OpenLog(m.disks[0]).Groups()
	if err = errors.Join(err, failed); err != nil {
		m.sim.Oracle.violated("Disks can be read", "n%d: %v", m.number, err)
	}
	return slices.DeleteFunc(known, func(group messages.GroupID) bool {
		return !slices.ContainsFunc(m.sim.Oracle.config.GetGroups(), func(g *messages.Group) bool {
			return g.Id == uint64(group) && slices.Contains(g.Nodes, uint64(id.Node))
		})
	})
}

// compareLogs checks that the logs of a group are equal where they overlap, and that every disk can be read.
func (s *Simulation) compareLogs() {
	seen := map[logPosition]*messages.Entry{}
	for _, m := range s.Nodes {
		for _, group := range m.hostedGroups() {
			loaded, err := persistence.OpenLog(m.disks[0]).Load(group)
			if err != nil {
				s.Oracle.violated("Disks can be read", "n%d: %v", m.number, err)
				return
			}
			for _, e := range loaded.Entries {
				at := logPosition{group, e.Index}
				if was := seen[at]; was != nil && !proto.Equal(was, e) {
					s.Oracle.violated("Replicas are equal", "n%d has another entry %d in the log of group %d than others", m.number, e.Index, group)
				}
				seen[at] = e
			}
		}
	}
}
