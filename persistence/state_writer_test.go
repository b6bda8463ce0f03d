package persistence_test

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// outer is a context that hands over one message and remembers what is sent.
type outer struct {
	actor.Context
	message any
	sent    []string
	syncs   []any // what the StateSyncer is asked
	answers []any // what it answers
}

func (o *outer) Message() any     { return o.message }
func (o *outer) Self() *actor.PID { return actor.NewPID("n", "state") }

func (o *outer) Send(to *actor.PID, message any) {
	switch m := message.(type) {
	case persistence.StateWritten:
		o.sent = append(o.sent, fmt.Sprint(to.Id, " stored ", m.Index))
	case persistence.StateSynced:
		o.sent = append(o.sent, fmt.Sprint(to.Id, " synced ", m.Index))
	default:
		if to.Id == "sync" {
			o.syncs = append(o.syncs, message)
		} else {
			o.answers = append(o.answers, message)
		}
	}
}

// A StateWriter has a sync begun when somebody asks, and when much has been written since. It writes on meanwhile, and
// what it writes then is said to be durable by the next sync only.
func TestStateWriterSyncs(t *testing.T) {
	engine := memory.New()
	fatal := func(err error) { require.NoError(t, err) }
	w := persistence.NewStateWriter(engine, persistence.StateWriterOptions{Fatal: fatal, Syncer: actor.NewPID("n", "sync"), SyncBytes: 1000})
	s := persistence.NewStateSyncer(engine, fatal)
	var syncs []any
	for step, c := range []struct {
		who   string // writes; "": the sync that is under way ends
		bytes int
		sync  bool
		gone  bool // the data is deleted
		syncs int  // are wanted after this step
		says  []string
	}{
		{who: "a", bytes: 400, says: []string{"a stored 1"}},
		{who: "b", bytes: 400, says: []string{"b stored 2"}},
		{who: "a", bytes: 400, syncs: 1, says: []string{"a stored 3"}},
		{who: "b", bytes: 400, syncs: 1, says: []string{"b stored 4"}},
		{who: "b", bytes: 400, syncs: 1, says: []string{"b stored 5"}},
		{says: []string{"a synced 3", "b synced 2"}},
		{who: "c", bytes: 10, sync: true, syncs: 1, says: []string{"c stored 7"}},
		{who: "c", bytes: 10, sync: true, syncs: 1, says: []string{"c stored 8"}},
		{syncs: 1, says: []string{"b synced 5", "c synced 7"}},
		{who: "c", gone: true, syncs: 1, says: []string{"c stored 0"}},
		{who: "c", bytes: 10, syncs: 1, says: []string{"c stored 11"}},
		{}, // c's was deleted after its sync began: what c has now is none of it
		{who: "b", sync: true, syncs: 1, says: []string{"b stored 13"}},
		{says: []string{"c synced 11", "b synced 13"}},
	} {
		o := new(outer)
		if c.who == "" {
			sync := &outer{message: syncs[0]}
			s.Receive(sync)
			syncs = syncs[1:]
			o.message = sync.answers
		} else {
			batch, index := new(persistence.Batch), uint64(step+1)
			batch.Put([]byte{byte(step)}, make([]byte, c.bytes))
			if c.gone {
				index = 0
			}
			o.message = []any{&persistence.WriteState{Batch: batch, Index: index, Sync: c.sync, ReplyTo: actor.NewPID("n", c.who)}}
		}
		w.Receive(o)
		syncs = append(syncs, o.syncs...)
		require.Equal(t, c.says, o.sent, "step %d", step)
		require.Len(t, syncs, c.syncs, "step %d", step)
		_, found, err := engine.Synced().Get([]byte{byte(step)})
		require.NoError(t, err)
		require.False(t, found, "a batch waits for no sync")
		if c.who == "" {
			for before := range step - 5 {
				_, found, err := engine.Synced().Get([]byte{byte(before)})
				require.NoError(t, err)
				require.True(t, found || before == 5, "step %d, batch %d", step, before)
			}
		}
	}
}
