package raft

import "github.com/eraft-io/eraft/messages"

// progress is what a leader knows about one follower. Invariant: 0 <= match < next.
type progress struct {
	id    uint64
	since uint64 // it is a member as of this index; whoever had the name before was another replica
	match uint64 // known to be durable there
	next  uint64 // first entry to send
	state progressState

	paused    bool // probing: one append is out, wait for an answer or a heartbeat's
	flight    []flight
	bytes     int               // of all in flight
	stalled   int               // heartbeats answered since the last acknowledgement while something is in flight
	silent    int               // ticks since it was heard
	forgetful bool              // it has said last that it does not vote yet
	hung      bool              // it has said last that a disk does not answer
	readSeq   uint64            // newest read round it confirmed
	asked     bool              // Ready.Snapshots has named it
	loading   bool              // Ready.Loads has named it
	loaded    []*messages.Entry // what was read for it, and the entry before
	leaseAt   uint64            // when the newest heartbeat was sent that it answered with its promise
}

// flight is one append on the way.
type flight struct {
	last  uint64
	bytes int
}

type progressState int

const (
	probing     progressState = iota // where the logs agree is not known: one append at a time
	replicating                      // known: appends go out ahead of their answers, within the window
	installing                       // the log does not reach back far enough: a snapshot is on its way
)

// Replicating is the State of a follower that takes entries as they come.
const Replicating = "replicate"

func (s progressState) String() string { return [...]string{"probe", Replicating, "snapshot"}[s] }

func (p *progress) probe(next uint64) {
	p.state, p.paused, p.asked = probing, false, false
	p.next = max(next, p.match+1)
	p.flight, p.bytes, p.stalled = nil, 0, 0
}

// acked takes an acknowledgement up to index. It tells whether that was news; a late one never moves match back.
func (p *progress) acked(index uint64) bool {
	p.stalled = 0
	for len(p.flight) > 0 && p.flight[0].last <= index {
		p.bytes -= p.flight[0].bytes
		p.flight = p.flight[1:]
	}
	if index <= p.match {
		return false
	}
	p.match = index
	p.next = max(p.next, index+1)
	return true
}

func (p *progress) sent(last uint64, bytes int) {
	p.next = last + 1
	p.flight = append(p.flight, flight{last, bytes})
	p.bytes += bytes
}

// full tells whether nothing more may be sent now.
func (p *progress) full(c *Config) bool {
	switch p.state {
	case probing:
		return p.paused
	case replicating:
		return len(p.flight) >= c.MaxInflightMessages || p.bytes >= c.MaxInflightBytes
	}
	return true
}

// peer finds a follower; nil for this replica itself, strangers, and on followers.
func (c *Core) peer(id uint64) *progress {
	for _, p := range c.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// track brings peers in line with conf: newcomers are probed from the end of the log.
func (c *Core) track() {
	var peers []*progress
	for _, id := range Members(c.conf) {
		if id == c.cfg.ID {
			continue
		}
		p := c.peer(id)
		if p == nil {
			p = &progress{id: id, since: c.confAt, next: c.log.last() + 1}
		}
		peers = append(peers, p)
	}
	c.peers = peers
}
