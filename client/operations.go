package client

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Value is the value of a key. Version is higher after each write of the key, also over a delete and a new put.
type Value struct {
	Data    []byte
	Version uint64
}

// Get reads a key, linearizably. found is false, without error, if the key is absent.
func (c *Client) Get(ctx context.Context, key []byte) (value Value, found bool, err error) {
	r, err := c.Do(ctx, &messages.Get{Key: key, From: c.readFrom})
	if err != nil {
		return Value{}, false, err
	}
	return Value{r.Value, r.Version}, r.Found, nil
}

// GetMany reads keys concurrently, each by itself: the result is no snapshot. The values are in the order of the keys; that of an
// absent key has Version 0.
func (c *Client) GetMany(ctx context.Context, keys ...[]byte) ([]Value, error) {
	ops := make([]proto.Message, len(keys))
	for i, key := range keys {
		ops[i] = &messages.Get{Key: key, From: c.readFrom}
	}
	replies, problems := c.doAll(ctx, ops)
	values := make([]Value, len(keys))
	for i, r := range replies {
		if problems[i] == nil {
			values[i] = Value{r.Value, r.Version}
		}
	}
	return values, errors.Join(problems...)
}

// Put sets a key, and gives its new version.
func (c *Client) Put(ctx context.Context, key, value []byte) (version uint64, err error) {
	return versionOf(c.Do(ctx, &messages.Put{Key: key, Value: value}))
}

// PutIfAbsent sets a key that is absent; otherwise it is ErrConflict.
func (c *Client) PutIfAbsent(ctx context.Context, key, value []byte) (version uint64, err error) {
	return versionOf(c.Do(ctx, &messages.Put{Key: key, Value: value, Mode: messages.Put_IF_ABSENT}))
}

// PutIfPresent sets a key that is present; otherwise it is ErrConflict.
func (c *Client) PutIfPresent(ctx context.Context, key, value []byte) (version uint64, err error) {
	return versionOf(c.Do(ctx, &messages.Put{Key: key, Value: value, Mode: messages.Put_IF_PRESENT}))
}

// Delete removes a key, and reports whether it was present.
func (c *Client) Delete(ctx context.Context, key []byte) (found bool, err error) {
	r, err := c.Do(ctx, &messages.Delete{Key: key})
	return r.GetFound(), err
}

// Append adds bytes to the end of a value, and gives the new length in bytes. An absent key counts as empty. It is applied once,
// however often it is sent.
func (c *Client) Append(ctx context.Context, key, value []byte) (length int64, err error) {
	r, err := c.Do(ctx, &messages.Append{Key: key, Value: value})
	return r.GetNumber(), err
}

// Incr adds to a decimal integer, and gives the result. An absent key counts as 0. It is applied once, however often it is sent.
func (c *Client) Incr(ctx context.Context, key []byte, by int64) (result int64, err error) {
	r, err := c.Do(ctx, &messages.Incr{Key: key, By: by})
	return r.GetNumber(), err
}

// CompareAndSwap sets a key if it has the given version (0: absent). On ErrConflict current is the value found.
func (c *Client) CompareAndSwap(ctx context.Context, key []byte, version uint64, value []byte) (current Value, err error) {
	return c.swap(ctx, &messages.Condition{Key: key, Expect: &messages.Condition_Version{Version: version}}, value)
}

// CompareValueAndSwap sets a key if it has the given value. On ErrConflict current is the value found.
func (c *Client) CompareValueAndSwap(ctx context.Context, key, expected, value []byte) (current Value, err error) {
	return c.swap(ctx, &messages.Condition{Key: key, Expect: &messages.Condition_Value{Value: expected}}, value)
}

func (c *Client) swap(ctx context.Context, expect *messages.Condition, value []byte) (Value, error) {
	r, err := c.Do(ctx, &messages.CompareAndSwap{Expect: expect, Value: value})
	if errors.Is(err, ErrConflict) {
		return Value{r.Value, r.Version}, err
	}
	return Value{value, r.GetVersion()}, err
}

// Batch writes keys of one slot ({tag}), all or none, if all conditions hold at that instant. Txn builds and sends one.
func (c *Client) Batch(ctx context.Context, batch *messages.Batch) (*messages.Reply, error) {
	return c.Do(ctx, batch)
}

func versionOf(r *messages.Reply, err error) (uint64, error) { return r.GetVersion(), err }
