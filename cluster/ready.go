package cluster

import (
	"fmt"
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// A node is ready when another node may be stopped: its replicas have applied what their leaders had committed a moment ago. A node
// that was down under load answers long before that; while it lags, a group that loses another replica has to wait for it.

// catchUp measures how far a replica is behind its leader, in time. It is pure.
type catchUp struct {
	target uint64        // commit index of the leader as of since
	since  time.Duration // when this node learned of target
	done   bool          // the replica has reached its leader's known commit index once since the node started
}

// maxLag is the age of the oldest missing entry at which a replica that had caught up counts as lagging: longer than the interval
// at which leaders report, shorter than an operator would notice.
const maxLag = 5 * time.Second

// observe takes the index that the replica has applied and the commit index of its leader. heard is false if the leader is silent:
// then no time passes, since the leader itself may have committed nothing.
func (p *catchUp) observe(now time.Duration, applied, committed uint64, heard bool) {
	switch {
	case !heard:
		p.since = now
	case applied >= committed:
		p.done, p.target, p.since = true, committed, now
	case applied >= p.target:
		p.target, p.since = committed, now
	}
}

func (p *catchUp) behind(now time.Duration) bool { return !p.done || now-p.since > maxLag }

// lag says why a replica of this node lags.
type lag struct {
	group messages.GroupID
	why   string
}

// updateCatchUp updates catchUp of this node's replicas and returns those that lag. Until none has lagged for the first time since
// the start, replicas count too that the config places here and that are not voters yet. Later, a further replica does not make the
// node unready.
func (b *statusBoard) updateCatchUp(s snapshot) (lags []lag) {
	self := uint64(s.identity.Node)
	for _, g := range s.config.GetGroups() {
		id := messages.GroupID(g.Id)
		replica, led := s.replicas[id], s.leaderStatus(id)
		if !slices.Contains(g.Nodes, self) {
			delete(b.catchUp, id)
			continue
		}
		p := b.catchUp[id]
		if p == nil {
			p = new(catchUp)
			b.catchUp[id] = p
		}
		p.observe(s.now, replica.GetApplied(), led.GetCommit(), led != nil && replica != nil)
		member := led == nil || slices.Contains(led.Conf.GetVoters(), self)
		switch {
		case b.caughtUp && (!p.done || !member): // added since, or about to be removed
		case replica == nil || !member:
			lags = append(lags, lag{id, "is being brought up here"})
		case led == nil && !p.done:
			lags = append(lags, lag{id, "has not heard of its leader how far it is"})
		case p.behind(s.now):
			lags = append(lags, lag{id, fmt.Sprintf("is %d entries behind its leader", max(led.GetCommit(), replica.Applied)-replica.Applied)})
		}
	}
	b.caughtUp = b.caughtUp || s.config != nil && len(lags) == 0
	return lags
}

// transferee returns the node that should lead a group when this node stops: of the voters that are heard, whose disk responds and
// that do not lag, the one with the highest applied index. If all of them lag, it is the best of those, and able is false; 0: no
// voter is heard.
func (s snapshot) transferee(group messages.GroupID) (node messages.NodeID, able bool) {
	var most uint64
	for _, voter := range s.replicas[group].GetConf().GetVoters() {
		id := messages.NodeID(voter)
		r := s.replica(id, group)
		if r == nil || r.DiskStalled || id == s.identity.Node {
			continue
		}
		can := !slices.Contains(s.others[id].GetLaggingGroups(), uint64(group))
		if node == 0 || can && !able || can == able && r.Applied > most {
			node, able, most = id, can, r.Applied
		}
	}
	return node, able
}

// TransferFailed is the event of a stopping node that leads a group which no other node can lead now: the group has no leader
// until another replica has caught up, or until this node is back.
type TransferFailed struct {
	Group messages.GroupID
	Why   string
}

func (TransferFailed) EventName() string { return "leadership transfer failed" }

// transferTimeout bounds how long a stopping node waits until other nodes lead its groups.
const transferTimeout = 2 * time.Second
