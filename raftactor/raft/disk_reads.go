package raft

import (
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft/progress"
)

// A follower that gets a snapshot needs the entries behind it, and while the snapshot travels the log may grow beyond what memory
// should hold. A replica whose data is slow has many entries that are not applied. So a log may have entries, or the data of entries,
// on the disk only. They are read piece by piece, and then sent within the same window as all others, or applied. They are
// committed, so they are the same whenever they are read, and whoever leads.

// Load asks for entries to be read from the disk: From to To, both included, or as many of the first of them as the driver likes. For is
// the follower that they are to be sent to, or this replica, which is to apply them.
type Load struct{ For, From, To uint64 }

// fromDisk is what a follower is to be sent next, as far as it was read from the disk, and the term of the entry before. If it is not
// read yet it is asked for. If the disk does not have it any more either, the follower needs a snapshot.
func (c *Core) fromDisk(p *progress.Progress) (before uint64, entries []*messages.Entry) {
	if n := len(p.Loaded); n > 0 && p.Loaded[0].Index <= p.Next && p.Next <= p.Loaded[n-1].Index {
		at := p.Next - p.Loaded[0].Index
		switch {
		case p.Next > c.log.start.Index:
			return c.log.term(p.Next - 1), p.Loaded[at:]
		case at > 0:
			return p.Loaded[at-1].Term, p.Loaded[at:]
		}
	}
	p.Loaded = nil
	switch {
	case p.LoadRequested:
	case p.Next > c.log.start.Index:
		p.LoadRequested = true
		c.out.loads = append(c.out.loads, Load{p.ID, p.Next, c.log.dataOnDisk})
	case p.Next > c.log.firstOnDisk:
		p.LoadRequested = true
		c.out.loads = append(c.out.loads, Load{p.ID, p.Next - 1, c.log.dataOnDisk})
	default:
		if p.BecomeSnapshot() {
			c.out.snapshots = append(c.out.snapshots, p.ID)
		}
	}
	return 0, nil
}

// replay is the state of the Load for this replica itself.
type replay int

const (
	idle replay = iota
	asked
	void // asked, and not wanted any more: the log was replaced meanwhile
)

// unapplied is what is to be applied next of entries whose data is on the disk only. If it is not read yet it is asked for.
func (c *Core) unapplied() []*messages.Entry {
	if len(c.replayed) == 0 && c.replay == idle {
		c.replay = asked
		c.out.loads = append(c.out.loads, Load{c.cfg.ID, c.emitted + 1, c.log.dataOnDisk})
	}
	return c.replayed
}

// Loaded brings the first entries of a Load, or none, if the disk does not have them any more.
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
	if p := c.follower(to); p != nil && p.LoadRequested {
		p.LoadRequested, p.Loaded = false, entries
	}
}

// FirstOnDisk is the index of the first entry that the disk has.
func (c *Core) FirstOnDisk() uint64 { return c.log.firstOnDisk }

// ReleaseDisk deletes the entries that the disk has before the start of the log.
func (c *Core) ReleaseDisk() {
	if c.log.firstOnDisk <= c.log.start.Index {
		c.log.firstOnDisk = c.log.start.Index + 1
		c.out.compact = c.log.start
	}
}
