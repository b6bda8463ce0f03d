package persistence_test

import (
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
	sent    []any
}

func (o *outer) Message() any { return o.message }

func (o *outer) Send(to *actor.PID, message any) {
	if stored, ok := message.(persistence.Stored); ok {
		message = stored.Durable
	}
	o.sent = append(o.sent, to.Id, message)
}

// A StateWriter syncs when somebody asks, and when much has been written since; whoever wrote meanwhile hears of it.
func TestStateWriterSyncs(t *testing.T) {
	engine := memory.New()
	w := persistence.NewStateWriter(engine, persistence.StateWriterOptions{Fatal: func(err error) { require.NoError(t, err) }, SyncBytes: 1000})
	synced := persistence.Synced{}
	for step, c := range []struct {
		who   string
		bytes int
		sync  bool
		says  []any
	}{
		{"a", 400, false, []any{"a", false}},
		{"b", 400, false, []any{"b", false}},
		{"a", 400, false, []any{"a", true, "b", synced}},
		{"b", 400, false, []any{"b", false}},
		{"c", 100, true, []any{"c", true, "b", synced}},
		{"a", 700, false, []any{"a", false}},
	} {
		batch, key := new(persistence.Batch), []byte{byte(step)}
		batch.Put(key, make([]byte, c.bytes))
		o := &outer{message: []any{&persistence.Store{Batch: batch, Sync: c.sync, ReplyTo: actor.NewPID("n", c.who)}}}
		w.Receive(o)
		require.Equal(t, c.says, o.sent)
		_, found, err := engine.Synced().Get(key)
		require.NoError(t, err)
		require.Equal(t, c.says[1], found)
	}
}
