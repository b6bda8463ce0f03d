// Package shardkv is the data of a group's buckets as a deterministic Machine: commands, sessions that make a retry
// the same command, ownership of buckets, and their hand-over to another group.
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

// Machine is the state machine of one shard group. It implements raftactor's Machine, Flusher and Viewer.
type Machine struct {
	group             messages.GroupID
	bucketCount       int // buckets of the cluster
	buckets           map[uint32]*bucket
	sessions          *sessionTable
	migrations        map[uint32]bool // buckets that are given or installed
	view              *View
	ownershipChanged  bool   // the view does not show the newest ownership
	migrationsChanged bool   // nor how far hand-overs are
	entryIndex        uint64 // log index of the last command, and its place among the entry's commands
	ordinal           uint64
	dirtyBuckets      []uint32 // buckets whose record must be written at the end of the turn
	decoder           messages.CommandDecoder
	cursors           cursorCache
}

// New makes the Machine of a group in a cluster of that many buckets. Open gives it its state.
func New(group messages.GroupID, buckets int) *Machine {
	return &Machine{group: group, bucketCount: buckets}
}

// Open implements raftactor.Machine.
func (m *Machine) Open(store persistence.Reader) error {
	*m = Machine{group: m.group, bucketCount: m.bucketCount, buckets: map[uint32]*bucket{}, migrations: map[uint32]bool{}, sessions: newSessions(), ownershipChanged: true}
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

// Checker refuses what can be known to be wrong before it enters the log: bytes that are no command of this
// machine, and sizes. It costs one decoding on the leader.
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
				return messages.Errorf(messages.Code_INVALID, "a freeze that does not say of what")
			}
		}
		return nil
	}
	return messages.CheckCommand(c)
}

// Grows tells whether a command may make the data of the group that takes it larger. Deletes do not, nor does giving a bucket away.
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
		_, installs := op.Shard.Op.(*messages.ShardCommand_ImportChunk)
		return installs
	}
	return true
}

// Apply implements raftactor.Machine.
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

// applyOnce applies a command unless its session has had it applied before.
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
		a := newSavedReply(id, reply)
		m.sessions.save(s, a)
		m.appendReply(tx, id, b, a)
	}
	m.abortOversized(tx, id, b)
	return reply, nil
}

// order is the place of the command that is applied in the log.
func (m *Machine) logOrder() uint64 { return m.entryIndex<<orderShift | m.ordinal }

const orderShift = 20

func errorReply(why *messages.Error) *messages.Reply {
	return &messages.Reply{Code: why.Code, Text: why.Text, Hint: why.Hint}
}

func (m *Machine) wrongGroup(b *bucket) *messages.Reply {
	r := errorReply(messages.Errorf(messages.Code_WRONG_GROUP, "group %d does not serve this bucket", m.group))
	switch {
	case b == nil:
	case b.state == Importing: // until the config before, it was there
		r.Hint = &messages.Hint{Group: b.counterpart, ConfigVersion: b.configVersion - 1}
	default:
		r.Hint = &messages.Hint{Group: b.counterpart, ConfigVersion: b.configVersion}
	}
	return r
}

func (m *Machine) markDirty(id uint32, b *bucket) {
	if !b.dirty {
		b.dirty = true
		m.dirtyBuckets = append(m.dirtyBuckets, id)
	}
}

// Flush implements raftactor.Flusher: sessions and what is kept for retries, and version counters of the buckets written to.
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

// Query implements raftactor.Machine.
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
