package raftactor

import (
	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// output carries out everything that the core asks for. It is the only place where raft's decisions become messages.
func (p *Peer) output() {
	for !p.failed {
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
		p.send(ready.Send)
		p.offered = p.offered && ready.Restore == nil
		if ready.Persist != nil {
			p.persist(ready.Persist, ready.Restore)
		} else if ready.Restore != nil {
			p.o.System.Root.Send(p.applier, restore{ready.Restore})
		}
		if len(ready.Apply) > 0 {
			p.applyEntries(ready.Apply)
		}
		p.answerReads(ready.Reads)
		p.sendSnapshots(ready.Snapshots)
		p.load(ready.Loads)
	}
	p.settle()
	p.replies.flush()
}

// sendBytes is when a message to one replica is big enough to go; more goes into a further one.
const sendBytes = 1 << 20

// messageFrame is more than what is around a message in RaftMessages.
const messageFrame = 8

// send groups messages by receiver: one per replica and turn, unless that gets too big.
func (p *Peer) send(all []*messages.RaftMessage) {
	for len(all) > 0 {
		to, size, full := all[0].To, 0, false
		address := p.o.Address(messages.NodeID(to))
		var batch, rest []*messages.RaftMessage
		for _, m := range all {
			p.stampClock(m)
			n := proto.Size(m) + messageFrame
			full = full || m.To == to && size > 0 && size+n > sendBytes
			if m.To != to || full {
				rest = append(rest, m)
				continue
			}
			if p.coalesces(m) && address != "" {
				p.o.System.Root.Send(p.coalescer, outgoingHeartbeat{address, m})
				continue
			}
			batch, size = append(batch, m), size+n
		}
		all = rest
		if address == "" {
			p.core.Unreachable(to)
			continue
		}
		if len(batch) > 0 {
			p.o.System.Root.Send(actor.NewPID(address, PeerPath(p.o.Group)), &messages.RaftMessages{Messages: batch})
		}
	}
}

// persist hands a step to the Writer. What must wait for the disk is held until its answer.
func (p *Peer) persist(step *raft.Persist, snapshot *messages.SnapshotMeta) {
	if len(step.After) > 0 || snapshot != nil {
		p.pendingWrites = append(p.pendingWrites, pendingWrite{seq: step.Seq, after: step.After, restore: snapshot})
	}
	p.logDisk.submitted = step.Seq
	if step.Compact != nil {
		p.o.System.Events(LogCompacted{Group: p.o.Group, Index: step.Compact.Index})
	}
	p.o.System.Root.Send(p.o.Writer, &persistence.Persist{
		Update: persistence.LogUpdate{
			Group: p.o.Group, HardState: step.HardState, Snapshot: step.Snapshot, Truncate: step.Truncate,
			Entries: step.Entries, Compact: step.Compact, Keep: step.Keep,
		},
		Seq: step.Seq, ReplyTo: p.self,
	})
}

func (p *Peer) applyEntries(entries []*messages.Entry) {
	proposals, lost := p.proposals.take(entries)
	for _, w := range lost {
		w.refuse(p.replies, p.notLeader(p.core.Soft().Leader))
	}
	p.o.System.Root.Send(p.applier, apply{entries, proposals})
}

// leaderChanged answers, when leadership is lost, all whose commands are in the log but not committed: nobody
// here will ever know what becomes of them.
func (p *Peer) leaderChanged(now raft.LeaderChange) {
	if p.leader.Role == raft.Leader && now.Role != raft.Leader {
		why := messages.Errorf(messages.Code_UNCERTAIN, "node %d lost the leadership of group %d", p.o.Node, p.o.Group)
		if now.Leader != 0 {
			why.Hint = &messages.Hint{Leader: now.Leader}
		}
		for _, w := range p.proposals.drop() {
			w.refuse(p.replies, why)
		}
		clear(p.transfers)
	}
	if now.Leader != p.leader.Leader {
		p.target.preference.observe(p.o.System.Clock.Now(), now.Leader != 0 && now.Leader == p.target.preferred())
	}
	if now != p.leader {
		p.o.System.Events(LeaderChanged{
			Group: p.o.Group, Leader: messages.NodeID(now.Leader), Term: now.Term, Role: now.Role.String(),
		})
	}
	p.leader = now
	p.report()
}
