package shardkv

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// bucketWriter carries out one command on one bucket. What it writes is also appended to the change log if the bucket migrates.
type bucketWriter struct {
	tx      persistence.Tx
	machine *Machine
	bucket  *bucket
	id      uint32
}

// keyState is the current state of a key.
type keyState struct {
	version uint64 // 0: the key does not exist
	value   []byte
}

func (r keyState) found() bool { return r.version != 0 }

func (w *bucketWriter) read(key []byte) (keyState, error) {
	stored, found, err := w.tx.Get(dataKey(w.id, key))
	if err != nil || !found {
		return keyState{}, err
	}
	version, value, err := decodeValue(stored)
	if err != nil {
		return keyState{}, fmt.Errorf("key %q: %w", key, err)
	}
	return keyState{version, value}, nil
}

// nextVersion is a version that no key of the bucket has had. The counter moves along with the bucket, so versions only grow.
func (w *bucketWriter) nextVersion() uint64 {
	w.bucket.versionCounter++
	w.machine.markDirty(w.id, w.bucket)
	return w.bucket.versionCounter
}

func (w *bucketWriter) write(key, value []byte) uint64 {
	version := w.nextVersion()
	stored := encodeValue(version, value)
	w.tx.Put(dataKey(w.id, key), stored)
	w.machine.appendChange(w.tx, w.id, w.bucket, dataPair, key, stored)
	return version
}

func (w *bucketWriter) remove(key []byte) uint64 {
	w.tx.Delete(dataKey(w.id, key))
	w.machine.appendChange(w.tx, w.id, w.bucket, dataPair, key, nil)
	return w.nextVersion()
}

// execute carries out a client's command. The caller has checked it, and that the group serves the bucket.
func (m *Machine) execute(w *bucketWriter, c *messages.Command) (*messages.Reply, error) {
	switch op := c.Op.(type) {
	case *messages.Command_Put:
		return w.put(op.Put)
	case *messages.Command_Delete:
		return w.delete(op.Delete)
	case *messages.Command_Append:
		return w.append(op.Append)
	case *messages.Command_Incr:
		return w.incr(op.Incr)
	case *messages.Command_Cas:
		return w.cas(op.Cas)
	case *messages.Command_Batch:
		return w.batch(op.Batch, int(c.MaxReplyBytes))
	}
	return nil, fmt.Errorf("unknown command %T in the log: a newer eraft wrote it", c.Op)
}

func (w *bucketWriter) put(p *messages.Put) (*messages.Reply, error) {
	r := &messages.Reply{}
	if p.Mode != messages.Put_ALWAYS || p.ReturnPrevious {
		old, err := w.read(p.Key)
		if err != nil {
			return nil, err
		}
		r.Found, r.Version = old.found(), old.version
		if p.ReturnPrevious {
			r.Value = bytes.Clone(old.value)
		}
		if p.Mode == messages.Put_IF_ABSENT && old.found() || p.Mode == messages.Put_IF_PRESENT && !old.found() {
			r.Code = messages.Code_CONFLICT
			return r, nil
		}
	}
	r.Version = w.write(p.Key, p.Value)
	return r, nil
}

func (w *bucketWriter) delete(d *messages.Delete) (*messages.Reply, error) {
	old, err := w.read(d.Key)
	if err != nil || !old.found() {
		return &messages.Reply{}, err
	}
	r := &messages.Reply{Found: true}
	if d.ReturnPrevious {
		r.Value = bytes.Clone(old.value)
	}
	r.Version = w.remove(d.Key)
	return r, nil
}

func (w *bucketWriter) append(a *messages.Append) (*messages.Reply, error) {
	old, err := w.read(a.Key)
	if err != nil {
		return nil, err
	}
	if len(old.value)+len(a.Value) > messages.MaxValueBytes {
		return errorReply(messages.Errorf(messages.Code_TOO_LARGE, "the value would be %d bytes long; %d is the most",
			len(old.value)+len(a.Value), messages.MaxValueBytes)), nil
	}
	value := append(bytes.Clone(old.value), a.Value...)
	return &messages.Reply{Found: old.found(), Number: int64(len(value)), Version: w.write(a.Key, value)}, nil
}

func (w *bucketWriter) incr(i *messages.Incr) (*messages.Reply, error) {
	old, err := w.read(i.Key)
	if err != nil {
		return nil, err
	}
	var n int64
	if old.found() {
		n, err = strconv.ParseInt(string(old.value), 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != string(old.value) {
			return errorReply(messages.Errorf(messages.Code_INVALID, "value is not an integer or out of range")), nil
		}
	}
	if i.By > 0 && n > math.MaxInt64-i.By || i.By < 0 && n < math.MinInt64-i.By {
		return errorReply(messages.Errorf(messages.Code_INVALID, "increment or decrement would overflow")), nil
	}
	n += i.By
	version := w.write(i.Key, strconv.AppendInt(nil, n, 10))
	return &messages.Reply{Found: old.found(), Number: n, Version: version}, nil
}

func (w *bucketWriter) checkCondition(c *messages.Condition) (bool, keyState, error) {
	old, err := w.read(c.Key)
	if err != nil {
		return false, old, err
	}
	switch e := c.Expect.(type) {
	case *messages.Condition_Version:
		return old.version == e.Version, old, nil
	case *messages.Condition_Value:
		return old.found() && bytes.Equal(old.value, e.Value), old, nil
	case *messages.Condition_Exists:
		return old.found() == e.Exists, old, nil
	}
	return true, old, nil
}

// conflictReply says what a key has instead of what was expected.
func conflictReply(old keyState) *messages.Reply {
	return &messages.Reply{Code: messages.Code_CONFLICT, Found: old.found(), Version: old.version, Value: bytes.Clone(old.value)}
}

func (w *bucketWriter) cas(c *messages.CompareAndSwap) (*messages.Reply, error) {
	ok, old, err := w.checkCondition(c.Expect)
	if err != nil {
		return nil, err
	}
	if !ok {
		return conflictReply(old), nil
	}
	r := &messages.Reply{Found: old.found()}
	switch {
	case !c.Delete:
		r.Version = w.write(c.Expect.Key, c.Value)
	case old.found():
		r.Version = w.remove(c.Expect.Key)
	}
	return r, nil
}

// batch makes all writes of a batch, or none: it tries them on an overlay first. maxReply bounds the reply in bytes; 0: no bound.
func (w *bucketWriter) batch(b *messages.Batch, maxReply int) (*messages.Reply, error) {
	for _, c := range b.Conditions {
		ok, old, err := w.checkCondition(c)
		if err != nil {
			return nil, err
		}
		if !ok {
			return conflictReply(old), nil
		}
	}
	trial := &overlay{Tx: w.tx, writes: map[string][]byte{}}
	writer := &bucketWriter{tx: trial, machine: w.machine, bucket: w.bucket, id: w.id}
	before := *w.bucket
	reply, size := &messages.Reply{}, batchReplyOverhead
	for i, op := range b.Writes {
		part, err := writer.applyWrite(op)
		if err != nil {
			return nil, err
		}
		if size += proto.Size(part) + batchPartOverhead; maxReply > 0 && size > maxReply && part.Code == messages.Code_OK {
			part = errorReply(messages.Errorf(messages.Code_TOO_LARGE, "with it the answer is larger than %d bytes: ask for fewer previous values", maxReply))
		}
		if part.Code != messages.Code_OK {
			*w.bucket = before
			part.Text = messages.Clip(fmt.Sprintf("write %d: %s", i, part.Text))
			return part, nil
		}
		reply.Parts = append(reply.Parts, part)
	}
	trial.commit()
	reply.Version = w.bucket.versionCounter
	return reply, nil
}

// Bytes that the reply of a batch takes beside its parts, and each part beside its own encoding, at most.
const (
	batchReplyOverhead = 64
	batchPartOverhead  = 8
)

func (w *bucketWriter) applyWrite(op *messages.Write) (*messages.Reply, error) {
	switch o := op.Op.(type) {
	case *messages.Write_Put:
		return w.put(o.Put)
	case *messages.Write_Delete:
		return w.delete(o.Delete)
	case *messages.Write_Append:
		return w.append(o.Append)
	case *messages.Write_Incr:
		return w.incr(o.Incr)
	}
	return nil, fmt.Errorf("unknown write %T in the log: a newer eraft wrote it", op.Op)
}

// overlay holds the writes of a batch back until all of them are known to succeed. Reads see them.
type overlay struct {
	persistence.Tx
	writes map[string][]byte // newest value by key; nil: deleted
	order  []string          // keys in the order of the writes
}

func (o *overlay) Get(key []byte) ([]byte, bool, error) {
	if value, ok := o.writes[string(key)]; ok {
		return value, value != nil, nil
	}
	return o.Tx.Get(key)
}

func (o *overlay) record(key, value []byte) {
	o.writes[string(key)] = value
	o.order = append(o.order, string(key))
}

func (o *overlay) Put(key, value []byte) { o.record(key, value) }
func (o *overlay) Delete(key []byte)     { o.record(key, nil) }

func (o *overlay) commit() {
	for _, key := range o.order {
		if value := o.writes[key]; value != nil {
			o.Tx.Put([]byte(key), value)
		} else {
			o.Tx.Delete([]byte(key))
		}
	}
}
