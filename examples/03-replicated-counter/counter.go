package main

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
)

// counter is a raftactor.Machine: a number to which commands add, and which queries read. A command that comes twice, because its
// sender did not hear the answer and asked again, adds once: the store remembers the newest command of each session, with its result.
//
//	store key          value
//	"total"            8 bytes big endian
//	"session/"+id      sequence number and result of the session's newest command, 8 bytes each
type counter struct{ total int64 }

var totalKey = []byte("total")

func sessionKey(session uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("session/"), session)
}

// Open implements raftactor.Machine. The store is the state: what is in memory is read from it.
func (c *counter) Open(store persistence.Reader) error {
	c.total = 0
	value, found, err := store.Get(totalKey)
	if found && len(value) == 8 {
		c.total = int64(binary.BigEndian.Uint64(value))
	}
	return err
}

// Apply implements raftactor.Machine. A custom command is the number to add, 8 bytes big endian.
func (c *counter) Apply(tx raftactor.Tx, _ raftactor.Position, command []byte) (*messages.Reply, error) {
	m := new(messages.Command)
	if err := proto.Unmarshal(command, m); err != nil {
		return nil, err // the log makes no sense: the node stops
	}
	reply := &messages.Reply{Session: m.Session, Seq: m.Seq}
	if len(m.GetCustom()) != 8 {
		reply.Code, reply.Text = messages.Code_INVALID, "a command is a number of 8 bytes"
		return reply, nil
	}
	newest, found, err := tx.Get(sessionKey(m.Session))
	if err != nil {
		return nil, err
	}
	if found {
		switch seq := binary.BigEndian.Uint64(newest); {
		case seq == m.Seq: // it was applied: the same answer again
			reply.Number = int64(binary.BigEndian.Uint64(newest[8:]))
			return reply, nil
		case seq > m.Seq: // an old copy that was late: nobody waits for its answer
			reply.Code, reply.Text = messages.Code_INVALID, fmt.Sprintf("session %d is at request %d already", m.Session, seq)
			return reply, nil
		}
	}
	c.total += int64(binary.BigEndian.Uint64(m.GetCustom()))
	reply.Number = c.total
	tx.Put(totalKey, binary.BigEndian.AppendUint64(nil, uint64(c.total)))
	tx.Put(sessionKey(m.Session), binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, m.Seq), uint64(c.total)))
	return reply, nil
}

// Query implements raftactor.Machine: it answers the total.
func (c *counter) Query(_ persistence.Reader, query []byte) (*messages.Reply, error) {
	m := new(messages.Query)
	if err := proto.Unmarshal(query, m); err != nil {
		return &messages.Reply{Code: messages.Code_INVALID, Text: "not a query"}, nil // from outside: it stops nobody
	}
	return &messages.Reply{Session: m.Session, Seq: m.Seq, Number: c.total}, nil
}
