package clustertest

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// What nodes hold in memory is bounded by limits at all times, and by next to nothing when there is nothing to do. Mailboxes
// need no rule of their own: time passes only when all of them are empty.

const (
	weighEvery     = 100 * time.Millisecond
	largestCommand = messages.MaxCommandBytes + 8
	// largestAnswer is what the record of a reply may take that is kept for a retry.
	largestAnswer = 16 << 10
)

// weigh holds what replicas say that they hold against their limits, again and again.
func (s *Simulation) weigh() {
	limits := s.o.Limits.WithDefaults()
	for _, m := range s.Members {
		if m.Node == nil {
			continue
		}
		for _, r := range m.Node.Replicas() {
			if most := uint64(limits.PendingBytes + limits.EntryBytes + largestCommand); r.PendingBytes > most {
				s.Oracle.violated("Memory is bounded", "n%d holds %d bytes of commands of group %d, %d are allowed", m.number, r.PendingBytes, r.Group, most)
			}
			if most := uint64(limits.LogBytes() + 2*limits.PendingBytes + limits.AppendBytes + largestCommand); r.LogBytes > most {
				s.Oracle.violated("Memory is bounded", "n%d holds %d bytes of the log of group %d, %d are allowed", m.number, r.LogBytes, r.Group, most)
			}
			if r.PendingReads > uint64(limits.PendingReads) {
				s.Oracle.violated("Memory is bounded", "n%d holds %d reads of group %d, %d are allowed", m.number, r.PendingReads, r.Group, limits.PendingReads)
			}
		}
	}
	s.At(s.Now()+weighEvery, s.weigh)
}

// letGo waits until nodes that have nothing to do hold nothing but what they keep: the tails of their logs. What is left of
// hand-overs is looked for in the data. A snapshot alone may be held for half a minute when the follower is gone that it was for.
func (s *Simulation) letGo() {
	if !s.until(func() bool { return s.settled() && s.held() == "" }, 2*healing) {
		if len(s.Oracle.Violations) == 0 {
			s.Oracle.violated("Memory is bounded", "%v after everything has healed %s", 2*healing, s.held())
		}
		return
	}
	s.digests(s.kept)
}

// held is what somebody holds and should not when there is nothing to do.
func (s *Simulation) held() string {
	most := uint64(s.o.Limits.CompactBytes())
	for _, m := range s.Members {
		if newest := s.Oracle.config.Version; m.config < newest { // a move that was asked for long ago may be carried out only now
			return fmt.Sprintf("n%d has config %d, but there is %d", m.number, m.config, newest)
		}
		for _, h := range m.Node.HandOvers() {
			return fmt.Sprintf("n%d has bucket %d of group %d %s", m.number, h.Bucket, h.Group, h.State)
		}
		for _, r := range m.Node.Replicas() {
			log := persistence.RecordReader{Reader: m.disks[0], Group: messages.GroupID(r.Group)}
			switch {
			case log.Entry(log.Start().GetIndex()) != nil:
				return fmt.Sprintf("n%d keeps what is before the log of group %d on disk", m.number, r.Group)
			case r.PendingBytes+r.PendingReads+r.SnapshotsSending > 0:
				return fmt.Sprintf("n%d holds %d bytes of commands, %d reads and %d snapshots of group %d",
					m.number, r.PendingBytes, r.PendingReads, r.SnapshotsSending, r.Group)
			case r.LogBytes >= most && r.Last > r.First: // one entry alone may be larger
				return fmt.Sprintf("n%d keeps %d bytes of the log of group %d, entries %d to %d, but should compact at %d",
					m.number, r.LogBytes, r.Group, r.First, r.Last, most)
			}
		}
	}
	return ""
}

// kept checks one record of a group: its key begins with a kind and, of a shard group, with a bucket.
func (s *Simulation) kept(m *Member, group messages.GroupID, key, value []byte) {
	if group == messages.Meta || len(key) < 5 || key[0] == 'f' {
		return
	}
	bucket := binary.BigEndian.Uint32(key[1:])
	owner := messages.GroupID(s.Oracle.config.Owners[bucket])
	switch kind := key[0]; {
	case kind == 't':
		s.Oracle.violated("Memory is bounded", "n%d still has changes of bucket %d of group %d that nobody takes any more", m.number, bucket, group)
	case kind != 'o' && owner != group:
		s.Oracle.violated("Memory is bounded", "n%d still has records of kind %c of bucket %d in group %d, which group %d has", m.number, kind, bucket, group, owner)
	case kind == 'r' && len(value) > largestAnswer:
		s.Oracle.violated("Memory is bounded", "n%d keeps an answer of %d bytes of bucket %d in group %d", m.number, len(value), bucket, group)
	}
}
