package client

import (
	"context"
	"errors"

	"github.com/eraft-io/eraft/messages"
)

// Transaction collects conditions and writes of keys that share a slot, which a {tag} in them makes sure of; others are ErrInvalid. When
// all conditions hold at that instant all is written, in order, else nothing. Its methods change it and give it back. Keys and values
// must not be changed before it is committed.
type Transaction struct {
	c     *Client
	batch *messages.Batch
}

// Txn begins a Transaction of this client.
func (c *Client) Txn() *Transaction { return &Transaction{c: c, batch: &messages.Batch{}} }

// Txn begins a Transaction of no client, for who sends its Message to a PID, or gives it to Client.Batch.
func Txn() *Transaction { return &Transaction{batch: &messages.Batch{}} }

// Absent holds when a key is not there.
func Absent(key []byte) *messages.Condition { return VersionIs(key, 0) }

// Present holds when a key is there, whatever it holds.
func Present(key []byte) *messages.Condition {
	return &messages.Condition{Key: key, Expect: &messages.Condition_Exists{Exists: true}}
}

// VersionIs holds when a key has that version: nobody has written it since it was read.
func VersionIs(key []byte, version uint64) *messages.Condition {
	return &messages.Condition{Key: key, Expect: &messages.Condition_Version{Version: version}}
}

// ValueIs holds when a key is there with that value.
func ValueIs(key, value []byte) *messages.Condition {
	return &messages.Condition{Key: key, Expect: &messages.Condition_Value{Value: value}}
}

// If adds conditions, all of which must hold before anything is written.
func (t *Transaction) If(conditions ...*messages.Condition) *Transaction {
	t.batch.Conditions = append(t.batch.Conditions, conditions...)
	return t
}

// Put sets a key.
func (t *Transaction) Put(key, value []byte) *Transaction {
	return t.write(&messages.Write{Op: &messages.Write_Put{Put: &messages.Put{Key: key, Value: value}}})
}

// Delete removes a key.
func (t *Transaction) Delete(key []byte) *Transaction {
	return t.write(&messages.Write{Op: &messages.Write_Delete{Delete: &messages.Delete{Key: key}}})
}

// Append adds to the end of a value.
func (t *Transaction) Append(key, value []byte) *Transaction {
	return t.write(&messages.Write{Op: &messages.Write_Append{Append: &messages.Append{Key: key, Value: value}}})
}

// Incr adds to a decimal integer.
func (t *Transaction) Incr(key []byte, by int64) *Transaction {
	return t.write(&messages.Write{Op: &messages.Write_Incr{Incr: &messages.Incr{Key: key, By: by}}})
}

func (t *Transaction) write(w *messages.Write) *Transaction {
	t.batch.Writes = append(t.batch.Writes, w)
	return t
}

// Message is the Transaction as what an actor sends.
func (t *Transaction) Message() *messages.Batch { return t.batch }

// Committed is what a Transaction has done.
type Committed struct {
	Writes  []Written // in the order in which they were added
	Current Value     // on ErrConflict: what the key of the first condition that did not hold has
}

// Written is what one write of a Transaction has done.
type Written struct {
	Found   bool   // the key was there before
	Version uint64 // of the key from then on
	Number  int64  // an Incr's result, or the length after an Append
}

// Commit carries it out. With ErrConflict a condition did not hold, and nothing was written.
func (t *Transaction) Commit(ctx context.Context) (Committed, error) {
	if t.c == nil {
		return Committed{}, messages.Errorf(messages.Code_INVALID, "the transaction has no client: begin it with Client.Txn, or give its Message to Client.Batch")
	}
	r, err := t.c.Batch(ctx, t.batch)
	if errors.Is(err, ErrConflict) {
		return Committed{Current: Value{r.GetValue(), r.GetVersion()}}, err
	}
	if err != nil {
		return Committed{}, err
	}
	done := Committed{}
	for _, part := range r.Parts {
		done.Writes = append(done.Writes, Written{part.Found, part.Version, part.Number})
	}
	return done, nil
}
