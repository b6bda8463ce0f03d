package persistence_test

import (
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

func fresh() persistence.Directory {
	return persistence.Directory{Log: memory.New(), State: memory.New()}
}

func token(n uint64) func() uint64 { return func() uint64 { return n } }

// member is the directory of a node of a cluster.
func member(t *testing.T, drawn, cluster uint64) persistence.Directory {
	d := fresh()
	id, err := d.StartEpoch("n1", token(drawn))
	require.NoError(t, err)
	id.Cluster, id.Node = cluster, 3
	require.NoError(t, d.JoinCluster(id))
	return d
}

// record puts an identity record, as some program wrote it, into an engine.
func record(t *testing.T, e persistence.Engine, id string) {
	batch := new(persistence.Batch)
	batch.Put([]byte("node/identity"), fmt.Appendf(nil, `{"Sum":%d,"ID":%s}`, crc32.Checksum([]byte(id), crc32.MakeTable(crc32.Castagnoli)), id))
	require.NoError(t, e.Write(batch, true))
}

func data(t *testing.T, e persistence.Engine) persistence.Engine {
	batch := new(persistence.Batch)
	batch.Put([]byte("d00000001k"), []byte("v"))
	require.NoError(t, e.Write(batch, true))
	return e
}

func TestBeginAndBecome(t *testing.T) {
	d := fresh()
	id, err := d.StartEpoch("n1", token(42))
	require.NoError(t, err)
	require.EqualValues(t, 1<<20|42, id.Epoch)
	id.Cluster, id.Node = 9, 3
	require.NoError(t, d.JoinCluster(id))
	again, err := d.StartEpoch("n1", token(7<<40|3))
	require.NoError(t, err)
	require.EqualValues(t, 2<<20|3, again.Epoch, "above, and not what another start of an equal copy draws")
	require.EqualValues(t, 3, again.Node)
	require.Equal(t, id.Token, again.Token)
	_, err = d.StartEpoch("n2", nil)
	require.ErrorContains(t, err, `belongs to node "n1"`)
	for _, other := range []string{`{"format":1}`, `{"format":99}`} {
		foreign := fresh()
		record(t, foreign.Log, other)
		_, err = foreign.StartEpoch("n1", token(42))
		require.ErrorContains(t, err, "start the eraft that wrote it")
	}
	require.True(t, d.Log.(*memory.Engine).FlipBit([]byte("node/identity"), 300))
	_, err = d.StartEpoch("n1", nil)
	require.ErrorContains(t, err, "damaged")
}

// Half of a directory, or a mix of two, is refused with what to do, and nothing is written to it.
func TestHalvesOfDirectories(t *testing.T) {
	a, b, older := member(t, 1, 9), member(t, 3, 9), fresh()
	_, err := older.StartEpoch("n1", token(1))
	require.NoError(t, err)
	today := fresh() // its state engine has no identity
	record(t, today.Log, `{"format":2,"name":"n1","token":5,"epoch":7,"cluster":9,"node":3}`)
	unborn := fresh()
	record(t, unborn.Log, `{"format":2,"name":"n1","token":5,"epoch":1,"cluster":0,"node":0}`)
	for _, c := range []struct {
		name       string
		log, state persistence.Engine
		says       string // "": it is fine
	}{
		{"fresh", memory.New(), memory.New(), ""},
		{"one directory", a.Log, a.State, ""},
		{"the log is lost", memory.New(), a.State, "is the volume of log/ mounted?"},
		{"the log is lost, of a directory without two identities", memory.New(), data(t, memory.New()), "is the volume of log/ mounted?"},
		{"the log has lost its identity", data(t, memory.New()), a.State, "records but no identity"},
		{"the state is lost", a.Log, memory.New(), "is the volume of state/ mounted?"},
		{"the state has lost its identity", a.Log, data(t, memory.New()), "is the volume of state/ mounted?"},
		{"two nodes of one cluster", a.Log, b.State, "put back what belongs together"},
		{"a node, and one of no cluster", a.Log, unborn.State, "is the volume of state/ mounted?"},
		{"the log is an older copy", older.Log, a.State, "log/ is an older copy"},
		{"no cluster, but data", unborn.Log, data(t, memory.New()), "of two directories"},
		{"today's, without data yet", today.Log, memory.New(), ""},
		{"today's", today.Log, data(t, memory.New()), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := persistence.Directory{Log: clone(t, c.log), State: clone(t, c.state)}
			before := contents(t, d)
			id, err := d.StartEpoch("n1", token(77))
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
				require.ErrorContains(t, err, "empty")
				require.Equal(t, before, contents(t, d))
				return
			}
			require.NoError(t, err)
			state, found, err := persistence.LoadIdentity(d.State)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, []any{id.Token, id.Cluster, id.Node}, []any{state.Token, state.Cluster, state.Node})
			_, err = persistence.Directory{Log: d.Log, State: memory.New()}.StartEpoch("n1", nil)
			require.ErrorContains(t, err, "is the volume of state/ mounted?", "from now on the loss of one is seen")
		})
	}
}

// A directory whose first start, or whose way into a cluster, was cut off between its two engines goes on from there.
func TestCutOffBetweenTheEngines(t *testing.T) {
	whole := func() (persistence.Directory, *memory.Engine, *memory.Engine) {
		d := fresh()
		return d, d.Log.(*memory.Engine), d.State.(*memory.Engine)
	}
	for _, broken := range []string{"log", "state"} {
		d, log, state := whole()
		fails := map[string]*memory.Engine{"log": log, "state": state}[broken]
		fails.SetFaults(memory.Faults{Limit: 1})
		_, err := d.StartEpoch("n1", token(1))
		require.ErrorIs(t, err, memory.ErrFull)
		left := persistence.Directory{Log: log.Kill(), State: state.Kill()}
		id, err := left.StartEpoch("n1", token(5))
		require.NoError(t, err, broken)
		require.EqualValues(t, 5, id.Token)

		log, state = left.Log.(*memory.Engine), left.State.(*memory.Engine)
		fails = map[string]*memory.Engine{"log": log, "state": state}[broken]
		fails.SetFaults(memory.Faults{Limit: 1})
		id.Cluster, id.Node = 9, 3
		require.ErrorIs(t, left.JoinCluster(id), memory.ErrFull)
		left = persistence.Directory{Log: log.Kill(), State: state.Kill()}
		again, err := left.StartEpoch("n1", token(6))
		require.NoError(t, err, broken)
		if broken == "log" {
			require.Zero(t, again.Cluster)
			continue
		}
		require.EqualValues(t, 9, again.Cluster)
		of, _, err := persistence.LoadIdentity(left.State)
		require.NoError(t, err)
		require.EqualValues(t, 9, of.Cluster)
	}
}

func clone(t *testing.T, e persistence.Engine) persistence.Engine {
	batch, copied := new(persistence.Batch), memory.New()
	require.NoError(t, e.Scan(nil, nil, func(key, value []byte) bool {
		batch.Put(key, value)
		return true
	}))
	require.NoError(t, copied.Write(batch, true))
	return copied
}

func contents(t *testing.T, d persistence.Directory) (all []string) {
	for _, e := range []persistence.Engine{d.Log, d.State} {
		require.NoError(t, e.Scan(nil, nil, func(key, value []byte) bool {
			all = append(all, fmt.Sprintf("%s=%s", key, value))
			return true
		}))
	}
	return all
}
