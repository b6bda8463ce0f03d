package shardkv

import (
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// State of a bucket in a group.
type State byte

const (
	None       State = iota // not here; its record, if there is one, tells until which config it was
	Serving                 // this group reads and writes it
	Frozen                  // given away: content is final, kept until the taker serves it
	Installing              // on its way here: not served yet
)

func (s State) String() string { return [...]string{"none", "serving", "frozen", "installing"}[s&3] }

// bucket is a bucket's state in this group.
type bucket struct {
	state         State
	configVersion uint64 // of the config that made it so
	other         uint64 // Frozen, None: who takes or took it; Installing, Serving: who gives or gave it
	nextChunk     uint64 // Installing
	cursor        []byte // Installing: where the next chunk starts
	counter       uint64 // newest version given to a key
}

// View shows a group's buckets. It is immutable and changes only when ownership does.
type View struct{ Buckets []BucketView }

// BucketView is one bucket that the group knows.
type BucketView struct {
	Bucket        uint32
	State         State
	ConfigVersion uint64
	Other         uint64
	NextChunk     uint64
	Cursor        []byte
}

// View implements raftactor.Viewer; it gives a *View.
func (m *Machine) View() any {
	if m.stale {
		m.stale = false
		m.view = &View{}
		for _, id := range slices.Sorted(maps.Keys(m.buckets)) {
			b := m.buckets[id]
			m.view.Buckets = append(m.view.Buckets, BucketView{id, b.state, b.configVersion, b.other, b.nextChunk, b.cursor})
		}
	}
	return m.view
}

func (m *Machine) set(tx persistence.Tx, id uint32, b *bucket) {
	m.buckets[id] = b
	m.stale = true
	tx.Put(bucketKey('o', id), encodeBucket(b))
}

// absent tells that a bucket is not here, and that a config of this version may still bring it: a leader that lags
// behind the config chain must not bring back what was given away since.
func (m *Machine) absent(id uint32, configVersion uint64) bool {
	b := m.buckets[id]
	return b == nil || b.state == None && b.configVersion < configVersion
}

// applyShard runs a command about ownership. Each is idempotent: one that comes too late changes nothing.
func (m *Machine) applyShard(tx persistence.Tx, at persistence.Position, c *messages.ShardCommand) (*messages.Reply, error) {
	switch op := c.Op.(type) {
	case *messages.ShardCommand_Adopt:
		for _, id := range op.Adopt.Buckets {
			if int(id) < m.count && m.absent(id, op.Adopt.ConfigVersion) {
				m.set(tx, id, &bucket{state: Serving, configVersion: op.Adopt.ConfigVersion})
			}
		}
	case *messages.ShardCommand_Freeze:
		for _, id := range op.Freeze.Buckets {
			if b := m.buckets[id]; b != nil && b.state == Serving && b.configVersion < op.Freeze.ConfigVersion {
				m.set(tx, id, &bucket{state: Frozen, configVersion: op.Freeze.ConfigVersion, other: op.Freeze.To, counter: b.counter})
			}
		}
	case *messages.ShardCommand_Install:
		return m.install(tx, at, op.Install)
	case *messages.ShardCommand_Drop:
		if b := m.buckets[op.Drop.Bucket]; b != nil && b.state == Frozen && b.configVersion == op.Drop.ConfigVersion {
			m.drop(tx, op.Drop.Bucket)
		}
	default:
		return nil, fmt.Errorf("unknown shard command %T in the log: a newer eraft wrote it", c.Op)
	}
	return &messages.Reply{}, nil
}

func (m *Machine) drop(tx persistence.Tx, id uint32) {
	for _, kind := range []byte{'d', 's'} {
		tx.DeletePrefix(bucketKey(kind, id))
	}
	m.sessions.drop(id)
	given := m.buckets[id]
	m.set(tx, id, &bucket{state: None, configVersion: given.configVersion, other: given.other})
}

// install takes the next chunk of a bucket that comes from another group.
func (m *Machine) install(tx persistence.Tx, at persistence.Position, i *messages.Install) (*messages.Reply, error) {
	if why := checkInstall(i); why != nil {
		return refusal(why), nil
	}
	if int(i.Bucket) >= m.count {
		return refusal(messages.Errorf(messages.Code_INVALID, "there is no bucket %d", i.Bucket)), nil
	}
	b := m.buckets[i.Bucket]
	switch {
	case i.Number == 0 && m.absent(i.Bucket, i.ConfigVersion):
		b = &bucket{state: Installing, configVersion: i.ConfigVersion, other: i.From}
	case b == nil || b.state != Installing || b.configVersion != i.ConfigVersion || b.nextChunk != i.Number:
		return &messages.Reply{}, nil // came before, or belongs to a hand-over that is over
	default:
		copied := *b
		b = &copied
	}
	for _, p := range i.Pairs {
		if err := m.installPair(tx, at, i.Bucket, b, p); err != nil {
			return nil, err
		}
	}
	b.nextChunk++
	if n := len(i.Pairs); n > 0 {
		b.cursor = i.Pairs[n-1].Key
	}
	if i.Last {
		b.state, b.nextChunk, b.cursor = Serving, 0, nil
	}
	m.set(tx, i.Bucket, b)
	return &messages.Reply{}, nil
}

// installPair writes one pair; keys in chunks are the giver's without the bucket: kind, then the rest.
func (m *Machine) installPair(tx persistence.Tx, at persistence.Position, id uint32, b *bucket, p *messages.Pair) error {
	if len(p.Key) == 0 {
		return errDamaged
	}
	full := append(bucketKey(p.Key[0], id), p.Key[1:]...)
	switch p.Key[0] {
	case 'd':
		tx.Put(full, p.Value)
	case 'o':
		from, err := decodeBucket(p.Value)
		if err != nil {
			return err
		}
		b.counter = from.counter
	case 's':
		s, err := decodeSession(p.Value)
		if err != nil || len(p.Key) != 9 {
			return errDamaged
		}
		m.place++
		s.bucket, s.id = id, beUint64(p.Key[1:])
		s.usedMs, s.used = at.TimeMs, m.index<<20|m.place
		m.sessions.insert(s)
		m.sessions.mark(s)
	}
	return nil
}

func beUint64(b []byte) (n uint64) {
	for _, x := range b[:8] {
		n = n<<8 | uint64(x)
	}
	return n
}

// chunkBytes is about how much of a bucket travels in one chunk.
const chunkBytes = 256 << 10

// pull answers with one chunk of a frozen bucket: first its counter, then its sessions, then its data.
func (m *Machine) pull(store persistence.Reader, p *messages.BucketPull) (*messages.Reply, error) {
	chunk := &messages.BucketChunk{Bucket: p.Bucket, ConfigVersion: p.ConfigVersion, Number: p.Number}
	b := m.buckets[p.Bucket]
	switch {
	case b == nil || b.state == None:
		chunk.Gone = true
	case b.state != Frozen || b.configVersion != p.ConfigVersion:
		chunk.NotReady = true
	}
	if chunk.Gone || chunk.NotReady {
		return &messages.Reply{Chunk: chunk}, nil
	}
	size, full := 0, false
	chunk.Last = true
	for _, kind := range []byte{'o', 's', 'd'} {
		if len(p.After) > 0 && rank(kind) < rank(p.After[0]) {
			continue
		}
		prefix := bucketKey(kind, p.Bucket)
		low := prefix
		if len(p.After) > 0 && p.After[0] == kind {
			low = append(append(slices.Clone(prefix), p.After[1:]...), 0)
		}
		err := store.Scan(low, persistence.PrefixEnd(prefix), func(key, value []byte) bool {
			if full = size > 0 && size+len(key)+len(value) > chunkBytes; full {
				return false
			}
			size += len(key) + len(value)
			chunk.Pairs = append(chunk.Pairs, &messages.Pair{
				Key: append([]byte{kind}, key[len(prefix):]...), Value: slices.Clone(value),
			})
			return true
		})
		if err != nil {
			return nil, err
		}
		if full {
			chunk.Last = false
			break
		}
	}
	if n := len(chunk.Pairs); n > 0 {
		chunk.Cursor = chunk.Pairs[n-1].Key
	}
	chunk.Checksum = Checksum(chunk.Pairs)
	return &messages.Reply{Chunk: chunk}, nil
}

func rank(kind byte) int {
	switch kind {
	case 'o':
		return 0
	case 's':
		return 1
	}
	return 2
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum covers the pairs of a chunk on their way between groups.
func Checksum(pairs []*messages.Pair) uint32 {
	var sum uint32
	for _, p := range pairs {
		for _, part := range [][]byte{p.Key, p.Value} {
			n := len(part)
			sum = crc32.Update(sum, castagnoli, []byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
			sum = crc32.Update(sum, castagnoli, part)
		}
	}
	return sum
}
