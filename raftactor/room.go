package raftactor

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// roomier is the voter to which a leader hands over whose own disk has no room: one that has, and is up to date. 0: it stays, for
// reads, and for what makes data smaller.
func (d *replicaTarget) roomier(status raft.Status) uint64 {
	if !slices.Contains(d.full, status.ID) {
		return 0
	}
	for _, node := range status.Conf.Voters {
		if !slices.Contains(d.full, node) && slices.Contains(d.nodes, node) && upToDate(status, node) {
			return node
		}
	}
	return 0
}

// crowded tells whether so many disks are full that a leader must not let the data grow: its own, or those of a majority.
func (d *replicaTarget) crowded(self uint64, voters []uint64) bool {
	full := 0
	for _, node := range voters {
		if slices.Contains(d.full, node) {
			full++
		}
	}
	return slices.Contains(d.full, self) || 2*full > len(voters)
}

// noRoom refuses what would make the data larger where there is no room for it.
func (p *Peer) noRoom(command []byte) *messages.Error {
	if len(p.target.full) == 0 || p.o.Grows == nil || !p.target.crowded(uint64(p.o.Node), p.core.Status().Conf.GetVoters()) ||
		!p.o.Grows(command) {
		return nil
	}
	return messages.Errorf(messages.Code_OVERLOADED,
		"the disks of nodes %v are full: group %d takes only deletes and reads until there is room", p.target.full, p.o.Group)
}
