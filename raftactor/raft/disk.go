package raft

import "github.com/eraft-io/eraft/messages"

// A follower that was sent a snapshot needs the log behind it. What has grown meanwhile may be more than memory should hold, so
// a log may start later in memory than on disk. A replica whose data is slow has much in its log that is not applied. What only the
// disk has is read piece by piece, and sent as all else is, within the same window, or applied. It is committed, so it is the same
// whenever it is read, and whoever leads.

// Load is a piece of the log that is to be read from the disk, for a follower, or for this replica to apply: the entries From..To,
// as many as one wants.
type Load struct{ For, From, To uint64 }

// fromDisk is what only the disk has of what a follower is to be sent next, and the term of the entry before. If it is not
// read yet it is asked for; if the disk does not have it any more either, the follower needs a snapshot.
func (c *Core) fromDisk(p *progress) (before uint64, entries []*messages.Entry) {
	if n := len(p.loaded); n > 0 && p.loaded[0].Index <= p.next && p.next <= p.loaded[n-1].Index {
		at := p.next - p.loaded[0].Index
		switch {
		case p.next > c.log.start.Index:
			return c.log.term(p.next - 1), p.loaded[at:]
		case at > 0:
			return p.loaded[at-1].Term, p.loaded[at:]
		}
	}
	p.loaded = nil
	switch {
	case p.loading:
	case p.next > c.log.start.Index:
		p.loading = true
		c.out.loads = append(c.out.loads, Load{p.id, p.next, c.log.hollow})
	case p.next > c.log.kept:
		p.loading = true
		c.out.loads = append(c.out.loads, Load{p.id, p.next - 1, c.log.hollow})
	default:
		p.state, p.flight, p.bytes = installing, nil, 0
		if !p.asked {
			p.asked = true
			c.out.snapshots = append(c.out.snapshots, p.id)
		}
	}
	return 0, nil
}

// replay is the state of a Load for this replica itself.
type replay int

const (
	idle replay = iota
	asked
	void // asked, and not wanted any more
)

// unapplied is what is to be applied next, of those that only the disk has. If it is not read yet it is asked for.
func (c *Core) unapplied() []*messages.Entry {
	if len(c.replayed) == 0 && c.replay == idle {
		c.replay = asked
		c.out.loads = append(c.out.loads, Load{c.cfg.ID, c.emitted + 1, c.log.hollow})
	}
	return c.replayed
}

// Loaded brings the first entries of a Load, or none if they have been deleted meanwhile.
func (c *Core) Loaded(to uint64, entries []*messages.Entry) {
	if to == c.cfg.ID {
		if c.replay == asked {
			if len(entries) == 0 || entries[0].Index != c.emitted+1 {
				c.broken("entry %d is durable and not applied, but the disk does not have it", c.emitted+1)
				return
			}
			c.replayed = entries
		}
		c.replay = idle
		return
	}
	if p := c.peer(to); p != nil && p.loading {
		p.loading, p.loaded = false, entries
	}
}

// Kept is the first entry that the disk has.
func (c *Core) Kept() uint64 { return c.log.kept }

// Release deletes from the disk what only the disk has.
func (c *Core) Release() {
	if c.log.kept <= c.log.start.Index {
		c.log.kept = c.log.start.Index + 1
		c.out.compact = c.log.start
	}
}
