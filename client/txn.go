package client

import (
	"context"
	"errors"

	"github.com/eraft-io/eraft/messages"
)

// Transaction collects conditions and writes of keys of one slot, which a common {tag} ensures; others are ErrInvalid. If all
// conditions hold at one instant, all writes are applied, in order; otherwise none. Its methods change it and return it. Keys and
// values must not be changed before it is committed.
type Transaction struct {
	c     *Client
	batch *messages.Batch
}

// Txn begins a Transaction of this client.
func (c *Client) Txn() *Transaction { return &Transaction{c: c, batch: &messages.Batch{}} }

// Txn begins a Transaction without a client, for callers that send its Message to a PID or give it to Client.Batch.
func Txn() *Transaction { return &Transaction{batch: &messages.Batch{}} }

// Absent holds if a key is absent.
func Absent(key []byte) *messages.Condition { return VersionIs(key, 0) }

// Present holds if a key is present, whatever its value.
func Present(key []byte) *messages.Condition {
	return &messages.Condition{Key: key, Expect: &messages.Condition_Exists{Exists: true}}
}

// VersionIs holds if a key has that version: it was not written since that version was read.
func VersionIs(key []byte, version uint64) *messages.Condition {
	return &messages.Condition{Key: key, Expect: &messages.Condition_Version{Version: version}}
}

// ValueIs holds if a key is present with that value.
func ValueIs(key, value []byte) *messages.Condition {
	return &messages.Condition{Key: key, Expect: &messages.Condition_Value{Value: value}}
}

// If adds conditions. All must hold before anything is written.
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

// Message is the Transaction as the message that an actor sends.
func (t *Transaction) Message() *messages.Batch { return t.batch }

// Committed is the result of a Transaction.
type Committed struct {
	Writes  []Written // in the order in which they were added
	Current Value     // on ErrConflict: the value of the key whose condition did not hold, the first such condition's
}

// Written is the result of one write of a Transaction.
type Written struct {
	Found   bool   // the key was present before
	Version uint64 // of the key, after the write
	Number  int64  // the result of an Incr, or the length in bytes after an Append
}

// Commit applies the Transaction. With ErrConflict a condition did not hold, and nothing was written.
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
