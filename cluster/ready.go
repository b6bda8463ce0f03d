package cluster

import (
	"fmt"
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// A node is ready when others may be stopped: its replicas have what their leaders had committed a moment ago. One that has
// been down under load answers long before, and as long as it lags a group that loses another replica waits for it.

// progress is how far a replica is behind its leader, in time. It is pure.
type progress struct {
	goal   uint64        // what the leader had committed
	since  time.Duration // when this node has heard of that
	caught bool          // the replica has had all that its leader was known to have, in this life of the node
}

// lagTime is how old what a replica lacks may be, once it has caught up: more than leaders need to tell, less than matters.
const lagTime = 5 * time.Second

// observe takes what the replica has applied and what its leader is known to have committed. Without word of the leader, which
// lacks as much then, no time passes.
func (p *progress) observe(now time.Duration, applied, committed uint64, heard bool) {
	switch {
	case !heard:
		p.since = now
	case applied >= committed:
		p.caught, p.goal, p.since = true, committed, now
	case applied >= p.goal:
		p.goal, p.since = committed, now
	}
}

func (p *progress) behind(now time.Duration) bool { return !p.caught || now-p.since > lagTime }

// lag is why a replica of this node is not as far as it must be for others to be stopped.
type lag struct {
	group messages.GroupID
	why   string
}

// followLeaders notes how far this node's replicas are and gives those that lag. Until none has for the first time in this life,
// those count as well that the config wants here and that are no voters yet; later, a node that gets one more serves on.
func (b *board) followLeaders(s snapshot) (lags []lag) {
	self := uint64(s.identity.Node)
	for _, g := range s.config.GetGroups() {
		id := messages.GroupID(g.Id)
		replica, led := s.replicas[id], s.led(id)
		if !slices.Contains(g.Nodes, self) {
			delete(b.progress, id)
			continue
		}
		p := b.progress[id]
		if p == nil {
			p = new(progress)
			b.progress[id] = p
		}
		p.observe(s.now, replica.GetApplied(), led.GetCommit(), led != nil && replica != nil)
		member := led == nil || slices.Contains(led.Conf.GetVoters(), self)
		switch {
		case b.caughtUp && (!p.caught || !member): // it came since, or is about to go
		case replica == nil || !member:
			lags = append(lags, lag{id, "is being brought up here"})
		case led == nil && !p.caught:
			lags = append(lags, lag{id, "has not heard of its leader how far it is"})
		case p.behind(s.now):
			lags = append(lags, lag{id, fmt.Sprintf("is %d entries behind its leader", max(led.GetCommit(), replica.Applied)-replica.Applied)})
		}
	}
	b.caughtUp = b.caughtUp || s.config != nil && len(lags) == 0
	return lags
}

// heir is who can lead a group best when this node goes: of the voters that are heard, whose disk answers and that do not lag,
// the one with most of the data. Without one it is the best of those that lag, and able is false; 0: nobody is heard.
func (s snapshot) heir(group messages.GroupID) (node messages.NodeID, able bool) {
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

// HandOverFailed tells that a node which stops leads a group that nobody else can serve now: the group waits for another leader,
// or for data that only this node has had so far.
type HandOverFailed struct {
	Group messages.GroupID
	Why   string
}

func (HandOverFailed) EventName() string { return "leadership not handed over" }

// handOverTime bounds how long a stopping node waits for others to take its leaderships.
const handOverTime = 2 * time.Second
