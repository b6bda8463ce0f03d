package clustertest

import (
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// sendRaw sends a replica what no Session would: bytes that are no command, commands above a limit, commands whose reply would be too
// large. The replica must refuse them, without effect on others. Valid commands beside them would share an entry with them.
func (w *Swarm) sendRaw() {
	if w.raw == nil {
		w.raw = w.s.RawClient("raw")
	}
	key := []byte("{raw}k")
	put := func(seq uint64) []byte {
		p := &messages.Put{Key: key, Value: make([]byte, w.rng.IntN(512))}
		return w.encode(&messages.Command{Session: 7, Seq: seq, Acked: seq, Op: &messages.Command_Put{Put: p}})
	}
	w.rawSent++
	to, group := w.anyNode(), messages.GroupID(w.rng.IntN(5))
	switch w.rng.IntN(5) {
	case 0:
		w.raw.Send(to, group, []byte("no command"), []byte{})
	case 1: // the command fits a message, but its entry does not
		swap := &messages.CompareAndSwap{
			Expect: &messages.Condition{Key: key, Expect: &messages.Condition_Value{Value: make([]byte, 4<<20-8<<10)}},
		}
		w.raw.Send(to, group, put(2*w.rawSent), put(2*w.rawSent+1))
		w.raw.Send(to, group, w.encode(&messages.Command{Op: &messages.Command_Cas{Cas: swap}}))
	case 2:
		b := &messages.Batch{}
		for range 6 {
			b.Writes = append(b.Writes, &messages.Write{Op: &messages.Write_Put{Put: &messages.Put{Key: key, ReturnPrevious: true}}})
		}
		w.raw.Send(to, group, put(2*w.rawSent), w.encode(&messages.Command{Op: &messages.Command_Batch{Batch: b}}))
	case 3:
		p := &messages.Put{Key: make([]byte, messages.MaxKeyBytes+1), Value: make([]byte, messages.MaxValueBytes+1)}
		w.raw.Send(to, group, w.encode(&messages.Command{Op: &messages.Command_Put{Put: p}}))
	case 4:
		m := &messages.MetaCommand{Reason: string(make([]byte, 1<<20)), Op: &messages.MetaCommand_Rebalance{Rebalance: &messages.Rebalance{}}}
		w.raw.Send(to, messages.Meta, w.encode(&messages.Command{Op: &messages.Command_Meta{Meta: m}}))
	}
}

func (w *Swarm) encode(c *messages.Command) []byte {
	encoded, err := proto.Marshal(c)
	if err != nil {
		w.s.Fail("encode: %v", err)
	}
	return encoded
}
