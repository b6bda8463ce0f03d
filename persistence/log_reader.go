package persistence

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

// LogReader is the persistence actor that reads pieces of the Raft logs of a node back, for leaders that do not keep in memory
// all that a follower needs. It is not the Writer, since nobody who waits for a sync should wait for that.
//
//	receives  from   does
//	*Read     Peers  answers *Entries
//
// It is spawned durable: who asks waits for the answer. A log that cannot be read stops the node.
type LogReader struct {
	log   *Log
	fatal func(error)
}

// NewLogReader makes a LogReader; the node spawns it once.
func NewLogReader(log *Log, fatal func(error)) *LogReader { return &LogReader{log, fatal} }

// ReadEntries asks for the entries From..To of a group's log: at least two of them, and no more than Bytes of the others.
type ReadEntries struct {
	Group    messages.GroupID
	For      messages.NodeID // echoed
	From, To uint64
	Bytes    int
	ReplyTo  *actor.PID
}

// Entries answers one Read. There are none if those at From have been deleted.
type Entries struct {
	For     messages.NodeID
	Entries []*messages.Entry
}

func (r *LogReader) Receive(ctx actor.Context) {
	m, ok := ctx.Message().(*ReadEntries)
	if !ok {
		return
	}
	entries, err := r.log.ReadRange(m.Group, m.From, m.To, m.Bytes)
	if err != nil {
		if !errors.Is(err, ErrClosed) { // then the node stops anyway
			r.fatal(fmt.Errorf("read the log: %w", err))
		}
		return
	}
	ctx.Send(m.ReplyTo, &Entries{m.For, entries})
}
