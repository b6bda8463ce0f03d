package shardkv

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// Each transition replaces the record and deletes what the new state may not keep.
func TestTransitions(t *testing.T) {
	serving := &bucket{state: Serving, configVersion: 4, versionCounter: 9, logPosition: 7, minTimeMs: 50}
	start := &messages.StartMigration{ConfigVersion: 5, Destination: 2, MaxChangeLogBytes: 100}
	migrating := serving.startMigration(start).next
	require.Equal(t, &bucket{
		state: Migrating, configVersion: 4, counterpart: 2, versionCounter: 9, minTimeMs: 50, base: 7, logPosition: 7, moveVersion: 5, maxChangedBytes: 100,
	}, migrating)
	require.Nil(t, migrating.startMigration(start).next, "it was started before")

	changed := *migrating
	changed.logPosition, changed.changedBytes = 9, 101
	require.Equal(t, transition{next: &bucket{state: Serving, configVersion: 4, versionCounter: 9, minTimeMs: 50, logPosition: 9}, deletes: deleteChangeLog}, changed.abortOversized())
	require.Nil(t, migrating.abortOversized().next, "nothing has changed")

	pull := &messages.BucketPull{ConfigVersion: 5, Base: 7}
	require.Nil(t, changed.freeze(&messages.BucketPull{ConfigVersion: 5, Base: 6}, 60).next, "of an earlier attempt")
	frozen := changed.freeze(pull, 60).next
	require.Equal(t, &bucket{state: Frozen, configVersion: 5, counterpart: 2, versionCounter: 9, minTimeMs: 60, base: 7, logPosition: 9, changedBytes: 101}, frozen)
	require.Nil(t, frozen.resume(&messages.ResumeServing{ConfigVersion: 6}).next, "the destination may serve it")
	require.Equal(t, deleteChangeLog, frozen.resume(&messages.ResumeServing{ConfigVersion: 6, DestinationAbandoned: true}).deletes)
	require.Equal(t, transition{next: &bucket{state: Absent, configVersion: 5, counterpart: 2}, deletes: deleteContents}, frozen.deleteMigrated(5))
	require.Nil(t, migrating.deleteMigrated(5).next, "it is not frozen")

	var unknown *bucket
	importing := unknown.importChunk(1, &messages.BucketChunk{ConfigVersion: 5, Base: 7, ChangeLogPosition: 7, VersionCounter: 9}, 0)
	require.Equal(t, transition{next: &bucket{state: Importing, configVersion: 5, counterpart: 1, versionCounter: 9, base: 7, logPosition: 7, nextChunk: 1}}, importing)
	require.Equal(t, deleteContents, importing.next.importChunk(1, &messages.BucketChunk{ConfigVersion: 5, Base: 8}, 0).deletes, "the migration has begun again")
	require.Equal(t, transition{next: &bucket{state: Absent, configVersion: 6, counterpart: 3}, deletes: deleteContents},
		importing.next.startMigration(&messages.StartMigration{ConfigVersion: 6, Destination: 3}), "released")
	last := importing.next.importChunk(1, &messages.BucketChunk{ConfigVersion: 5, Base: 7, Number: 1, Last: true, VersionCounter: 11, TimeMs: 60}, 30)
	require.Equal(t, transition{next: &bucket{state: Serving, configVersion: 5, counterpart: 1, versionCounter: 11, minTimeMs: 60}}, last)
}

// model is one bucket in two groups, and every message about it that may still arrive: late, twice, or in another order. The
// config of version 5 moves the bucket from the first group to the second, and the one of version 6 calls it back.
type model struct {
	records  [2]*bucket
	chunks   map[string]*messages.BucketChunk // read at the source of their version
	commands map[string]bool                  // proposed: "freeze 5 base", "delete 5", "resume released"
	released bool                             // the second group has said so about version 6
	writes   uint64                           // acknowledged by whichever group served
}

// sourceOf is the group that config version moves the bucket from.
func sourceOf(version uint64) int { return int(version - 5) }

func (m model) key() string {
	var all []string
	for _, b := range m.records {
		if b == nil {
			b = &bucket{}
		}
		all = append(all, string(encodeBucket(b)))
	}
	return fmt.Sprintf("%q %v %v %v %d", all, slices.Sorted(maps.Keys(m.chunks)), slices.Sorted(maps.Keys(m.commands)), m.released, m.writes)
}

// with is a copy of the model in which one record may be replaced.
func (m model) with(group int, t transition) model {
	m.chunks, m.commands = maps.Clone(m.chunks), maps.Clone(m.commands)
	if t.next != nil {
		m.records[group] = t.next
	}
	return m
}

func (m model) send(c *messages.BucketChunk) {
	m.chunks[fmt.Sprint(c.ConfigVersion, c.Base, c.Number, c.Last, c.VersionCounter, c.ChangeLogPosition)] = c
}

// next lists what may happen in one step.
func (m model) next() (all []model) {
	const maxWrites, maxChunks = 2, 1
	for group, b := range m.records {
		if b.serves() && m.writes < maxWrites { // a write; and one that makes the change log too long
			for _, large := range []bool{false, true} {
				written := *b
				written.versionCounter++
				if written.state == Migrating {
					written.logPosition++
					if written.changedBytes = 1; large {
						written.changedBytes = 1 << 20
					}
				}
				n := m.with(group, transition{next: &written})
				n.writes++
				all = append(all, n.with(group, written.abortOversized()))
			}
		}
	}
	for _, version := range []uint64{5, 6} {
		from := sourceOf(version)
		to := 1 - from
		source, destination := m.records[from], m.records[to]

		n := m.with(from, source.startMigration(&messages.StartMigration{ConfigVersion: version, Destination: uint64(to + 1), MaxChangeLogBytes: 1 << 10}))
		switch notReady, released := n.records[from].standing(version); {
		case released:
			n.released = n.released || version == 6
		case !notReady:
			b := n.records[from]
			n.send(&messages.BucketChunk{ConfigVersion: version, Base: b.base, ChangeLogPosition: b.base, VersionCounter: b.versionCounter})
		}
		all = append(all, n)

		if destination != nil && destination.state == Importing && destination.configVersion == version {
			n = m.with(from, transition{})
			n.commands[fmt.Sprintf("freeze %d %d", version, destination.base)] = true
			if source.readable(version, destination.base) && (destination.nextChunk <= maxChunks || source.state == Frozen) {
				n.send(&messages.BucketChunk{
					ConfigVersion: version, Base: destination.base, Number: destination.nextChunk, Copied: true, Last: source.state == Frozen,
					VersionCounter: source.versionCounter, ChangeLogPosition: source.logPosition,
				})
			}
			all = append(all, n)
		}
		if destination.serves() && destination.configVersion == version {
			n = m.with(from, transition{})
			n.commands[fmt.Sprintf("delete %d", version)] = true
			all = append(all, n)
		}
	}
	for _, c := range m.chunks {
		group := 1 - sourceOf(c.ConfigVersion)
		all = append(all, m.with(group, m.records[group].importChunk(uint64(2-group), c, 0)))
	}
	for command := range m.commands {
		var version, base uint64
		if n, _ := fmt.Sscanf(command, "freeze %d %d", &version, &base); n == 2 {
			group := sourceOf(version)
			all = append(all, m.with(group, m.records[group].freeze(&messages.BucketPull{ConfigVersion: version, Base: base}, 0)))
		} else if strings.HasPrefix(command, "delete") {
			fmt.Sscanf(command, "delete %d", &version)
			group := sourceOf(version)
			all = append(all, m.with(group, m.records[group].deleteMigrated(version)))
		}
	}
	for _, released := range []bool{false, m.released} {
		all = append(all, m.with(0, m.records[0].resume(&messages.ResumeServing{ConfigVersion: 6, DestinationAbandoned: released})))
	}
	return all
}

// readable reports whether the source gives chunks to an attempt.
func (b *bucket) readable(version, base uint64) bool {
	notReady, released := b.standing(version)
	return !notReady && !released && b.base == base
}

// Whatever order messages arrive in, and however often: at most one of the two groups serves the bucket, the one that does has
// every write, and from everywhere there is a way to a state in which one serves. The test visits every state there is.
func TestEveryInterleavingHasOneOwner(t *testing.T) {
	first := model{chunks: map[string]*messages.BucketChunk{}, commands: map[string]bool{}}
	first.records[0] = &bucket{state: Serving, configVersion: 4}
	known, queue := map[string]int{first.key(): 0}, []model{first}
	before, served := [][]int{nil}, []int(nil) // by state: from which states it is reached
	back, forth := 0, 0
	for at := 0; at < len(queue); at++ {
		m := queue[at]
		a, b := m.records[0], m.records[1]
		require.False(t, a.serves() && b.serves(), "%+v %+v", a, b)
		for _, r := range m.records {
			if r.serves() {
				require.Equal(t, m.writes, r.versionCounter, "writes are lost: %+v", r)
			}
		}
		if a.serves() || b.serves() {
			served = append(served, at)
		}
		if b.serves() {
			forth++
		}
		if a.serves() && a.configVersion == 6 {
			back++
		}
		for _, n := range m.next() {
			key := n.key()
			i, found := known[key]
			if !found {
				i = len(queue)
				known[key] = i
				queue, before = append(queue, n), append(before, nil)
			}
			before[i] = append(before[i], at)
		}
	}
	t.Logf("%d states; in %d the destination serves, in %d the source again", len(queue), forth, back)
	require.NotZero(t, forth)
	require.NotZero(t, back)
	alive := make([]bool, len(queue))
	for len(served) > 0 {
		at := served[len(served)-1]
		if served = served[:len(served)-1]; !alive[at] {
			alive[at] = true
			served = append(served, before[at]...)
		}
	}
	require.NotContains(t, alive, false, "a state from which nobody ever serves the bucket")
}
