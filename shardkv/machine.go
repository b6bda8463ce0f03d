package shardkv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Machine is the state machine of one shard group. It implements raftactor's Machine, Flusher and Viewer. Its owner is the
// group's Applier; no method may be called by another goroutine.
type Machine struct {
	group       messages.GroupID
	bucketCount int                // buckets of the cluster, fixed at bootstrap
	buckets     map[uint32]*bucket // every bucket that the group has a record of
	sessions    *sessionTable
	migrations  map[uint32]bool // buckets that are Migrating, Frozen or Importing

	view              *View // the newest, if the next two are false
	ownershipChanged  bool  // view.Buckets is out of date
	migrationsChanged bool  // view.Migrations is out of date

	entryIndex   uint64   // log index of the newest command
	ordinal      uint64   // its number among the commands of that entry, from 1
	dirtyBuckets []uint32 // buckets whose record Flush writes
	decoder      messages.CommandDecoder
	cursors      cursorCache
}

// New makes the Machine of a group in a cluster of that many buckets. It has no state before Open.
func New(group messages.GroupID, buckets int) *Machine {
	return &Machine{group: group, bucketCount: buckets}
}

// Open implements raftactor.Machine: it reads the buckets and the session table from a store, and forgets what it had.
func (m *Machine) Open(store persistence.Reader) error {
	*m = Machine{
		group: m.group, bucketCount: m.bucketCount, buckets: map[uint32]*bucket{}, migrations: map[uint32]bool{}, sessions: newSessions(),
		ownershipChanged: true,
	}
	var bad error
	err := store.Scan([]byte{'o'}, []byte{'p'}, func(key, value []byte) bool {
		b, err := decodeBucket(value)
		if bad = err; bad == nil {
			m.track(binary.BigEndian.Uint32(key[1:]), b)
		}
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("read buckets: %w", err)
	}
	return m.sessions.load(store)
}

// Checker refuses a command before it enters the log if it can be known to be wrong: bytes that are no command of a shard
// group, and sizes. The Peer of a leader calls it; it costs one decoding. The first argument is not used.
func Checker(_ any, command []byte) *messages.Error {
	var d messages.CommandDecoder
	c, err := d.Decode(command, messages.NewestLevel)
	if err != nil {
		return messages.Errorf(messages.Code_INVALID, "command cannot be read: %v", err)
	}
	if c.GetShard() != nil {
		if why := messages.CheckBounds(c); why != nil {
			return why
		}
		switch op := c.GetShard().Op.(type) {
		case nil:
			return messages.Errorf(messages.Code_INVALID, "unknown shard command")
		case *messages.ShardCommand_ImportChunk:
			return checkImport(op.ImportChunk)
		case *messages.ShardCommand_FreezeBucket:
			if op.FreezeBucket.GetPull() == nil {
				return messages.Errorf(messages.Code_INVALID, "a freeze that names no bucket")
			}
		}
		return nil
	}
	return messages.CheckCommand(c)
}

// Grows reports whether a command may make the group's data larger. A node whose disk is nearly full refuses such commands;
// deletes, and all commands of a migration at its source, are taken.
func Grows(command []byte) bool {
	var d messages.CommandDecoder
	c, err := d.Decode(command, messages.NewestLevel)
	if err != nil {
		return true
	}
	switch op := c.Op.(type) {
	case *messages.Command_Delete:
		return false
	case *messages.Command_Batch:
		return slices.ContainsFunc(op.Batch.GetWrites(), func(w *messages.Write) bool { return w.GetDelete() == nil })
	case *messages.Command_Shard:
		_, imports := op.Shard.Op.(*messages.ShardCommand_ImportChunk)
		return imports
	}
	return true
}

// Apply implements raftactor.Machine. Commands come in log order. An error stops the replica: the command cannot be understood, or
// the store cannot be read.
func (m *Machine) Apply(tx persistence.Tx, at persistence.Position, command []byte) (*messages.Reply, error) {
	if at.Index != m.entryIndex {
		m.entryIndex, m.ordinal = at.Index, 0
	}
	m.ordinal++
	c, err := m.decoder.Decode(command, at.Level)
	if err != nil {
		return nil, fmt.Errorf("command cannot be read: %w", err)
	}
	if c.GetShard() != nil {
		reply, err := m.applyShard(tx, at, c.GetShard())
		if reply != nil {
			reply.Session, reply.Seq = c.Session, c.Seq
		}
		return reply, err
	}
	reply, err := m.applyOnce(tx, at, c)
	if reply != nil && (reply.Session != c.Session || reply.Seq != c.Seq) {
		reply.Session, reply.Seq = c.Session, c.Seq
	}
	return reply, err
}

// applyOnce applies a client's command unless it was applied before: see the essay in session.go.
func (m *Machine) applyOnce(tx persistence.Tx, at persistence.Position, c *messages.Command) (*messages.Reply, error) {
	if why := messages.CheckOp(c); why != nil {
		return errorReply(why), nil
	}
	id := uint32(messages.BucketOf(c.Key(), m.bucketCount))
	b := m.buckets[id]
	if !b.serves() {
		return m.wrongGroup(b), nil
	}
	var s *session
	if c.Session != 0 {
		s = m.sessions.all[c.Session]
		if known, err := s.replyTo(id, c.Seq); known != nil || err != nil {
			return known, err
		}
		m.sessions.acknowledge(s, min(c.Acked, c.Seq))
	}
	if why := messages.CheckDeadline(c.DeadlineMs, max(at.TimeMs, b.minTimeMs)); why != nil {
		return errorReply(why), nil
	}
	if c.Session != 0 {
		if why := m.sessions.admit(s, at.TimeMs, at.Index); why != nil {
			return errorReply(why), nil
		}
	}
	reply, err := m.execute(&bucketWriter{tx: tx, machine: m, bucket: b, id: id}, c)
	if err != nil {
		return nil, err
	}
	if c.Session != 0 {
		reply.Session, reply.Seq = c.Session, c.Seq
		s = m.sessions.touch(c.Session, at.TimeMs, c.DeadlineMs, m.logOrder())
		m.sessions.acknowledge(s, min(c.Acked, c.Seq))
		saved := newSavedReply(id, reply)
		m.sessions.save(s, saved)
		m.appendReply(tx, id, b, saved)
	}
	m.apply(tx, id, b.abortOversized())
	return reply, nil
}

// logOrder is the place in the log of the newest command: its index, and in the low bits its number in the entry.
func (m *Machine) logOrder() uint64 { return m.entryIndex<<orderShift | m.ordinal }

// orderShift is the bits of a logOrder for the number in the entry.
const orderShift = 20

// errorReply is the reply that carries a refusal.
func errorReply(why *messages.Error) *messages.Reply {
	return &messages.Reply{Code: why.Code, Text: why.Text, Hint: why.Hint}
}

// wrongGroup is the reply for a bucket that the group does not serve, with a hint at the group that does.
func (m *Machine) wrongGroup(b *bucket) *messages.Reply {
	r := errorReply(messages.Errorf(messages.Code_WRONG_GROUP, "group %d does not serve this bucket", m.group))
	switch {
	case b == nil:
	case b.state == Importing: // the source serves it, by the config before this one
		r.Hint = &messages.Hint{Group: b.counterpart, ConfigVersion: b.configVersion - 1}
	default:
		r.Hint = &messages.Hint{Group: b.counterpart, ConfigVersion: b.configVersion}
	}
	return r
}

// markDirty has Flush write the record of a bucket whose fields were changed in place.
func (m *Machine) markDirty(id uint32, b *bucket) {
	if !b.dirty {
		b.dirty = true
		m.dirtyBuckets = append(m.dirtyBuckets, id)
	}
}

// Flush implements raftactor.Flusher. At the end of a state batch it writes what changed in it: sessions, saved replies, and the
// records of buckets that were written to.
func (m *Machine) Flush(tx persistence.Tx) error {
	for _, id := range m.dirtyBuckets {
		if b := m.buckets[id]; b != nil {
			b.dirty = false
			tx.Put(bucketKey('o', id), encodeBucket(b))
		}
	}
	m.dirtyBuckets = m.dirtyBuckets[:0]
	return m.sessions.flush(tx)
}

// Query implements raftactor.Machine. It changes nothing but the cursor cache.
func (m *Machine) Query(store persistence.Reader, query []byte) (*messages.Reply, error) {
	q := new(messages.Query)
	if proto.Unmarshal(query, q) != nil {
		return &messages.Reply{Code: messages.Code_INVALID, Text: "query cannot be read"}, nil
	}
	if why := messages.CheckQuery(q); why != nil {
		reply := errorReply(why)
		reply.Session, reply.Seq = q.Session, q.Seq
		return reply, nil
	}
	var reply *messages.Reply
	var err error
	switch op := q.Op.(type) {
	case *messages.Query_Get:
		reply, err = m.get(store, op.Get)
	case *messages.Query_Scan:
		reply, err = m.scan(store, op.Scan)
	case *messages.Query_BucketPull:
		reply, err = m.readChunk(store, op.BucketPull)
	default:
		reply = &messages.Reply{Code: messages.Code_INVALID, Text: "a shard group does not answer this query"}
	}
	if reply != nil {
		reply.Session, reply.Seq = q.Session, q.Seq
	}
	return reply, err
}

func (m *Machine) get(store persistence.Reader, g *messages.Get) (*messages.Reply, error) {
	id := uint32(messages.BucketOf(g.Key, m.bucketCount))
	if b := m.buckets[id]; !b.serves() {
		return m.wrongGroup(b), nil
	}
	stored, found, err := store.Get(dataKey(id, g.Key))
	if err != nil || !found {
		return &messages.Reply{}, err
	}
	version, value, err := decodeValue(stored)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", g.Key, err)
	}
	r := &messages.Reply{Found: true, Version: version, Number: int64(len(value))}
	if !g.MetaOnly {
		r.Value = value
	}
	return r, nil
}
