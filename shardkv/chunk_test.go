package shardkv

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// memoryTx writes each change to an engine at once.
type memoryTx struct {
	*memory.Engine
	t *testing.T
}

func (x memoryTx) write(f func(*persistence.Batch)) {
	b := new(persistence.Batch)
	f(b)
	require.NoError(x.t, x.Write(b, false))
}

func (x memoryTx) Put(k, v []byte) { x.write(func(b *persistence.Batch) { b.Put(k, v) }) }
func (x memoryTx) Delete(k []byte) { x.write(func(b *persistence.Batch) { b.Delete(k) }) }
func (x memoryTx) DeletePrefix(p []byte) {
	x.write(func(b *persistence.Batch) { b.DeleteRange(p, persistence.PrefixEnd(p)) })
}

// migrationPair is a source and a destination without their groups: a store, a record of the bucket and a session table each.
type migrationPair struct {
	t          *testing.T
	store, to  memoryTx
	sessions   *sessionTable
	bucket     *bucket
	importing  *bucket
	received   *sessionTable
	maxPerPull uint32
}

const pairBucket, pairVersion = 3, 5

func newMigrationPair(t *testing.T) *migrationPair {
	return &migrationPair{
		t: t, store: memoryTx{memory.New(), t}, to: memoryTx{memory.New(), t}, sessions: newSessions(), received: newSessions(), maxPerPull: 2000,
		bucket: &bucket{state: Serving, configVersion: 4},
	}
}

// put writes a value of a session at the source, as a command does.
func (p *migrationPair) put(key, value string, session, seq uint64) {
	p.bucket.versionCounter++
	stored := encodeValue(p.bucket.versionCounter, []byte(value))
	p.store.Put(dataKey(pairBucket, []byte(key)), stored)
	saved := newSavedReply(pairBucket, &messages.Reply{Session: session, Seq: seq, Version: p.bucket.versionCounter})
	p.sessions.save(p.sessions.touch(session, 0, 1000, seq), saved)
	require.NoError(p.t, p.sessions.flush(p.store))
	if p.bucket.state == Migrating {
		p.bucket.appendChange(p.store, pairBucket, dataPair, []byte(key), stored)
		p.bucket.appendChange(p.store, pairBucket, sessionPair, commandName(session, seq), nil)
	}
}

func (p *migrationPair) source() *source {
	return &source{store: p.store, id: pairBucket, bucket: p.bucket, sessions: p.sessions}
}

func (p *migrationPair) start() {
	p.bucket = p.bucket.startMigration(&messages.StartMigration{ConfigVersion: pairVersion, MaxChangeLogBytes: 1 << 20}).next
	p.take(p.source().first(pairVersion))
}

func (p *migrationPair) pull() *messages.BucketChunk {
	b := p.importing
	c, err := p.source().read(&messages.BucketPull{
		ConfigVersion: pairVersion, Base: b.base, Number: b.nextChunk, After: b.cursor, Copied: b.copied, ChangeLogPosition: b.logPosition, MaxBytes: p.maxPerPull,
	})
	require.NoError(p.t, err)
	return c
}

// take has the destination write a chunk.
func (p *migrationPair) take(c *messages.BucketChunk) {
	require.Nil(p.t, checkImport(&messages.ImportChunk{Chunk: c}))
	d := &destination{tx: p.to, id: pairBucket, sessions: p.received}
	for i, pair := range c.Pairs {
		require.NoError(p.t, d.write(pair, uint64(i)))
	}
	p.importing = p.importing.importChunk(1, c, pairBytes(c)).next
	require.NoError(p.t, p.received.flush(p.to))
}

// check compares all keys and saved replies of the two stores.
func (p *migrationPair) check() {
	content := func(e memoryTx) (all []string) {
		require.NoError(p.t, e.Scan(nil, nil, func(key, value []byte) bool {
			if key[0] == 'd' || key[0] == 'r' {
				all = append(all, fmt.Sprintf("%q=%q", key, value))
			}
			return true
		}))
		return all
	}
	require.Equal(p.t, content(p.store), content(p.to))
}

// A source and a destination move a bucket by chunks alone: the copy, then the changes, then the rest once it is frozen.
func TestChunksCarryEverything(t *testing.T) {
	p := newMigrationPair(t)
	for i := range uint64(200) {
		p.put(fmt.Sprintf("k%03d", i), fmt.Sprintf("value %050d", i), 1+i%7, i)
	}
	p.start()
	chunks, writes := 0, uint64(200)
	for !p.importing.copied {
		p.take(p.pull())
		for range 3 { // behind the cursor and before it
			p.put(fmt.Sprintf("k%03d", writes*37%300), "changed", 1+writes%9, writes)
			writes++
		}
		chunks++
	}
	require.Greater(t, chunks, 5)
	require.Greater(t, p.bucket.changedBytes, uint64(1000))
	p.maxPerPull = 1000
	before := p.importing.backlogBytes
	c := p.pull()
	require.False(t, c.Last)
	p.take(c)
	require.Less(t, p.importing.backlogBytes, before)
	p.bucket = p.bucket.freeze(&messages.BucketPull{ConfigVersion: pairVersion, Base: p.importing.base}, 77).next
	for p.importing.state == Importing {
		p.take(p.pull())
	}
	require.Equal(t, Serving, p.importing.state)
	require.Equal(t, p.bucket.versionCounter, p.importing.versionCounter)
	require.EqualValues(t, 77, p.importing.minTimeMs)
	p.check()
}

// A record that changed often is in a chunk of changes once, with its newest value; a deleted one with an empty value.
func TestChangesAreMerged(t *testing.T) {
	p := newMigrationPair(t)
	p.start()
	p.take(p.pull())
	require.True(t, p.importing.copied)
	for i := range uint64(20) {
		p.put("often", fmt.Sprint(i), 1, i)
	}
	p.store.Delete(dataKey(pairBucket, []byte("gone")))
	p.bucket.appendChange(p.store, pairBucket, dataPair, []byte("gone"), nil)
	p.maxPerPull = 1 << 20
	c := p.pull()
	require.Len(t, c.Pairs, 3)
	require.Equal(t, "doften", string(c.Pairs[0].Key))
	_, value, err := decodeValue(c.Pairs[0].Value)
	require.NoError(t, err)
	require.Equal(t, "19", string(value))
	require.Equal(t, "dgone", string(c.Pairs[1].Key))
	require.Empty(t, c.Pairs[1].Value)
	require.EqualValues(t, sessionPair, c.Pairs[2].Key[0])
	require.Zero(t, c.BacklogBytes)
	p.take(c)
	p.check()
}

// A pull of another attempt, or of another migration, gets no records.
func TestSourceAnswersItsMigrationOnly(t *testing.T) {
	p := newMigrationPair(t)
	p.put("k", "v", 1, 1)
	require.True(t, p.source().first(pairVersion).NotReady, "it has not begun")
	p.start()
	p.importing.base++
	require.True(t, p.pull().NotReady, "another attempt")
	p.importing.base--
	require.False(t, p.pull().NotReady)
	p.bucket = p.bucket.freeze(&messages.BucketPull{ConfigVersion: pairVersion, Base: p.importing.base}, 0).next
	p.bucket = p.bucket.deleteMigrated(pairVersion).next
	require.True(t, p.pull().Abandoned)
	require.Empty(t, p.pull().Pairs)
}
