package raftactor

import (
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// roomier is the voter to which a leader hands over whose own disk has no room: one that has, and is up to date. 0: it stays, for
// reads, and for what makes data smaller.
func (d *replicaTarget) voterWithSpace(status raft.Status) uint64 {
	if !slices.Contains(d.fullNodes, status.ID) {
		return 0
	}
	for _, node := range status.Conf.Voters {
		if !slices.Contains(d.fullNodes, node) && slices.Contains(d.nodes, node) && upToDate(status, node) {
			return node
		}
	}
	return 0
}

// crowded tells whether so many disks are full that a leader must not let the data grow: its own, or those of a majority.
func (d *replicaTarget) shortOfSpace(self uint64, voters []uint64) bool {
	full := 0
	for _, node := range voters {
		if slices.Contains(d.fullNodes, node) {
			full++
		}
	}
	return slices.Contains(d.fullNodes, self) || 2*full > len(voters)
}

// checkSpace refuses what would make the data larger where there is no room for it.
func (p *Peer) checkSpace(command []byte) *messages.Error {
	if len(p.target.fullNodes) == 0 || p.o.Grows == nil || !p.target.shortOfSpace(uint64(p.o.Node), p.core.Status().Conf.GetVoters()) ||
		!p.o.Grows(command) {
		return nil
	}
	return messages.Errorf(messages.Code_OVERLOADED,
		"the disks of nodes %v are full: group %d takes only deletes and reads until there is room", p.target.fullNodes, p.o.Group)
}
