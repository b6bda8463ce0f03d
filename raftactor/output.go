package raftactor

import (
	"github.com/eraft-io/eraft/messages"
)

// output carries out everything that the core asks for. It is the only place where the core's decisions become messages.
func (p *Peer) output() {
	for !p.end.failed {
		ready, ok := p.core.Ready()
		if err := p.core.Err(); err != nil {
			p.fail(err)
			return
		}
		if !ok {
			break
		}
		if ready.Leader != nil {
			p.leaderChanged(*ready.Leader)
		}
		p.transport.send(ready.Send)
		p.snapshots.offered = p.snapshots.offered && ready.Restore == nil
		if ready.Persist != nil {
			p.persist(ready.Persist, ready.Restore)
		} else if ready.Restore != nil {
			p.o.System.Root.Send(p.pids.applier, restore{ready.Restore})
		}
		if len(ready.Apply) > 0 {
			p.applyEntries(ready.Apply)
		}
		p.answerReads(ready.Reads)
		p.sendSnapshots(ready.Snapshots)
		p.load(ready.Loads)
	}
	p.settleSnapshot()
	p.replies.flush()
}

func (p *Peer) applyEntries(entries []*messages.Entry) {
	proposals, lost := p.proposer.pending.take(entries)
	for _, dropped := range lost {
		dropped.refuse(p.replies, p.notLeader(p.core.Soft().Leader))
	}
	p.o.System.Root.Send(p.pids.applier, apply{entries, proposals})
}
