package clustertest

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// The memory of nodes is bounded by their limits at all times, and must be released when they are idle. Mailboxes need no rule of
// their own: virtual time passes only when all mailboxes are empty.

const (
	memoryCheckInterval = 100 * time.Millisecond
	maxCommandRecord    = messages.MaxCommandBytes + 8
	// maxReplyRecord bounds the bytes of the record that is kept of a reply, for retries.
	maxReplyRecord = 16 << 10
)

// checkMemory compares the memory that replicas report with their limits, every memoryCheckInterval.
func (s *Simulation) checkMemory() {
	limits := s.o.Limits.WithDefaults()
	for _, m := range s.Nodes {
		if m.Node == nil {
			continue
		}
		for _, r := range m.Node.Replicas() {
			if most := uint64(limits.PendingBytes + limits.EntryBytes + maxCommandRecord); r.PendingBytes > most {
				s.Oracle.violated("Memory is bounded", "n%d holds %d bytes of commands of group %d, %d are allowed", m.number, r.PendingBytes, r.Group, most)
			}
			if most := uint64(limits.LogBytes() + 2*limits.PendingBytes + limits.AppendBytes + maxCommandRecord); r.LogBytes > most {
				s.Oracle.violated("Memory is bounded", "n%d holds %d bytes of the log of group %d, %d are allowed", m.number, r.LogBytes, r.Group, most)
			}
			if r.PendingReads > uint64(limits.PendingReads) {
				s.Oracle.violated("Memory is bounded", "n%d holds %d reads of group %d, %d are allowed", m.number, r.PendingReads, r.Group, limits.PendingReads)
			}
		}
	}
	s.At(s.Now()+memoryCheckInterval, s.checkMemory)
}

// checkReleased waits until idle nodes hold nothing in memory but the ends of their logs, and then checks that nothing is left of
// migrations in their data. It waits long enough for a snapshot whose receiver is gone: that is held for half a minute.
func (s *Simulation) checkReleased() {
	if !s.runUntil(func() bool { return s.settled() && s.stillHeld() == "" }, 2*healTime) {
		if len(s.Oracle.Violations) == 0 {
			s.Oracle.violated("Memory is bounded", "%v after everything has healed %s", 2*healTime, s.stillHeld())
		}
		return
	}
	s.digests(s.checkRecord)
}

// stillHeld describes something that a node holds and must not hold when it is idle; "": there is nothing.
func (s *Simulation) stillHeld() string {
	most := uint64(s.o.Limits.CompactBytes())
	for _, m := range s.Nodes {
		if newest := s.Oracle.config.Version; m.configVersion < newest { // an old move request may be executed only now
			return fmt.Sprintf("n%d has config %d, but there is %d", m.number, m.configVersion, newest)
		}
		for _, h := range m.Node.Migrations() {
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

// checkRecord checks one record of a group: its key begins with its kind and, in a shard group, the bucket.
func (s *Simulation) checkRecord(m *SimNode, group messages.GroupID, key, value []byte) {
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
	case kind == 'r' && len(value) > maxReplyRecord:
		s.Oracle.violated("Memory is bounded", "n%d keeps an answer of %d bytes of bucket %d in group %d", m.number, len(value), bucket, group)
	}
}
