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
	group    messages.GroupID
	count    int // buckets of the cluster
	buckets  map[uint32]*bucket
	sessions *sessions
	transits map[uint32]bool // buckets that are given or installed
	view     *View
	stale    bool   // the view does not show the newest ownership
	moved    bool   // nor how far hand-overs are
	index    uint64 // log index of the last command, and its place among the entry's commands
	place    uint64
	touched  []uint32 // buckets whose record must be written at the end of the turn
	decoder  messages.CommandDecoder
	cursors  cursors
}

// New makes the Machine of a group in a cluster of that many buckets. Open gives it its state.
func New(group messages.GroupID, buckets int) *Machine { return &Machine{group: group, count: buckets} }

// Open implements raftactor.Machine.
func (m *Machine) Open(store persistence.Reader) error {
	*m = Machine{group: m.group, count: m.count, buckets: map[uint32]*bucket{}, transits: map[uint32]bool{}, sessions: newSessions(), stale: true}
	var bad error
	err := store.Scan([]byte{'o'}, []byte{'p'}, func(key, value []byte) bool {
		b, err := decodeBucket(value)
		if bad = err; bad == nil {
			m.know(binary.BigEndian.Uint32(key[1:]), b)
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
			return checkInstall(op.ImportChunk)
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
	if at.Index != m.index {
		m.index, m.place = at.Index, 0
	}
	m.place++
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
		return refusal(why), nil
	}
	id := uint32(messages.BucketOf(c.Key(), m.count))
	b := m.buckets[id]
	if !b.serves() {
		return m.wrongGroup(b), nil
	}
	var s *session
	if c.Session != 0 {
		s = m.sessions.all[c.Session]
		if known, err := s.answer(id, c.Seq); known != nil || err != nil {
			return known, err
		}
		m.sessions.acknowledge(s, min(c.Acked, c.Seq))
	}
	if why := messages.CheckDeadline(c.DeadlineMs, max(at.TimeMs, b.timeMs)); why != nil {
		return refusal(why), nil
	}
	if c.Session != 0 {
		if why := m.sessions.admit(s, at.TimeMs, at.Index); why != nil {
			return refusal(why), nil
		}
	}
	reply, err := m.execute(&writing{tx: tx, machine: m, bucket: b, id: id}, c)
	if err != nil {
		return nil, err
	}
	if c.Session != 0 {
		reply.Session, reply.Seq = c.Session, c.Seq
		s = m.sessions.use(c.Session, at.TimeMs, c.DeadlineMs, m.order())
		m.sessions.acknowledge(s, min(c.Acked, c.Seq))
		a := newAnswer(id, reply)
		m.sessions.keep(s, a)
		m.noteAnswer(tx, id, b, a)
	}
	m.bound(tx, id, b)
	return reply, nil
}

// order is the place of the command that is applied in the log.
func (m *Machine) order() uint64 { return m.index<<orderShift | m.place }

const orderShift = 20

func refusal(why *messages.Error) *messages.Reply {
	return &messages.Reply{Code: why.Code, Text: why.Text, Hint: why.Hint}
}

func (m *Machine) wrongGroup(b *bucket) *messages.Reply {
	r := refusal(messages.Errorf(messages.Code_WRONG_GROUP, "group %d does not serve this bucket", m.group))
	switch {
	case b == nil:
	case b.state == Installing: // until the config before, it was there
		r.Hint = &messages.Hint{Group: b.other, ConfigVersion: b.configVersion - 1}
	default:
		r.Hint = &messages.Hint{Group: b.other, ConfigVersion: b.configVersion}
	}
	return r
}

func (m *Machine) touch(id uint32, b *bucket) {
	if !b.touched {
		b.touched = true
		m.touched = append(m.touched, id)
	}
}

// Flush implements raftactor.Flusher: sessions and what is kept for retries, and version counters of the buckets written to.
func (m *Machine) Flush(tx persistence.Tx) error {
	for _, id := range m.touched {
		if b := m.buckets[id]; b != nil {
			b.touched = false
			tx.Put(bucketKey('o', id), encodeBucket(b))
		}
	}
	m.touched = m.touched[:0]
	return m.sessions.flush(tx)
}

// Query implements raftactor.Machine.
func (m *Machine) Query(store persistence.Reader, query []byte) (*messages.Reply, error) {
	q := new(messages.Query)
	if proto.Unmarshal(query, q) != nil {
		return &messages.Reply{Code: messages.Code_INVALID, Text: "query cannot be read"}, nil
	}
	if why := messages.CheckQuery(q); why != nil {
		reply := refusal(why)
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
		reply, err = m.pull(store, op.BucketPull)
	default:
		reply = &messages.Reply{Code: messages.Code_INVALID, Text: "a shard group does not answer this query"}
	}
	if reply != nil {
		reply.Session, reply.Seq = q.Session, q.Seq
	}
	return reply, err
}

func (m *Machine) get(store persistence.Reader, g *messages.Get) (*messages.Reply, error) {
	id := uint32(messages.BucketOf(g.Key, m.count))
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
