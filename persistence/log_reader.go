package persistence

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

// LogReader is the persistence actor that reads entries of the Raft logs of a node, for leaders that do not have in memory all that a
// follower needs. It is not the Writer: a Peer that waits for a sync should not wait for reads.
//
//	receives      from   does
//	*ReadEntries  Peers  replies *Entries
//
// It is spawned durable: a Peer that asks waits for the reply. A log that cannot be read stops the node.
type LogReader struct {
	log   *Log
	fatal func(error)
}

// NewLogReader makes a LogReader; the node spawns it once.
func NewLogReader(log *Log, fatal func(error)) *LogReader { return &LogReader{log, fatal} }

// ReadEntries asks for the entries From to To of a group's log: at least two of them, and of the others as many as fit into Bytes.
type ReadEntries struct {
	Group    messages.GroupID
	For      messages.NodeID // echoed in the reply
	From, To uint64
	Bytes    int
	ReplyTo  *actor.PID
}

// Entries is the reply to a ReadEntries. It has none if the entry at From has been deleted.
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
