package shardkv

import (
	"github.com/eraft-io/eraft/messages"
)

func checkValue(value []byte) *messages.Error {
	if len(value) > messages.MaxValueBytes {
		return messages.Errorf(messages.Code_TOO_LARGE, "value is %d bytes long; %d is the most", len(value), messages.MaxValueBytes)
	}
	return nil
}

func checkPair(key, value []byte) *messages.Error {
	if why := messages.CheckKey(key); why != nil {
		return why
	}
	return checkValue(value)
}

// checkOp says why a client's command is wrong whatever the state.
func checkOp(c *messages.Command) *messages.Error {
	switch op := c.Op.(type) {
	case *messages.Command_Put:
		return checkPair(c.Key(), op.Put.GetValue())
	case *messages.Command_Append:
		return checkPair(c.Key(), op.Append.GetValue())
	case *messages.Command_Delete, *messages.Command_Incr:
		return messages.CheckKey(c.Key())
	case *messages.Command_Cas:
		if op.Cas.GetExpect().GetExpect() == nil {
			return messages.Errorf(messages.Code_INVALID, "compare-and-swap without a condition")
		}
		return checkPair(c.Key(), op.Cas.Value)
	case *messages.Command_Batch:
		return checkBatch(op.Batch, c.Key())
	}
	return messages.Errorf(messages.Code_INVALID, "a shard group does not take this command")
}

func checkBatch(b *messages.Batch, first []byte) *messages.Error {
	if n := len(b.GetConditions()) + len(b.GetWrites()); n == 0 || n > messages.MaxBatchOps {
		return messages.Errorf(messages.Code_INVALID, "a batch of %d operations: 1 to %d are possible", n, messages.MaxBatchOps)
	}
	size := 0
	check := func(key, value []byte) *messages.Error {
		if size += len(key) + len(value); size > messages.MaxBatchBytes {
			return messages.Errorf(messages.Code_TOO_LARGE, "the batch is larger than %d bytes", messages.MaxBatchBytes)
		}
		// Equal slots are equal buckets in every cluster; unequal ones are refused even where they happen to meet.
		if messages.SlotOf(first) != messages.SlotOf(key) {
			return messages.Errorf(messages.Code_INVALID, "the keys of a batch must share a slot: give them the same {tag}")
		}
		return checkPair(key, value)
	}
	for _, c := range b.Conditions {
		if why := check(c.GetKey(), c.GetValue()); why != nil {
			return why
		}
	}
	for _, w := range b.Writes {
		if w.GetOp() == nil {
			return messages.Errorf(messages.Code_INVALID, "unknown write in a batch")
		}
		if why := check(w.Key(), valueOf(w)); why != nil {
			return why
		}
	}
	return nil
}

// valueOf is what a write stores or adds.
func valueOf(w *messages.Write) []byte {
	if put := w.GetPut(); put != nil {
		return put.Value
	}
	return w.GetAppend().GetValue()
}

// checkInstall refuses a chunk that this machine could not take, or could not read later.
func checkInstall(i *messages.Install) *messages.Error {
	c := i.GetChunk()
	damaged := messages.Errorf(messages.Code_INVALID, "chunk %d of bucket %d is damaged", c.GetNumber(), c.GetBucket())
	if c == nil || c.ConfigVersion == 0 || c.Gone || c.NotReady || Checksum(c) != c.Checksum {
		return damaged
	}
	for _, p := range c.Pairs {
		if len(p.GetKey()) == 0 {
			return damaged
		}
		var err error
		switch p.Key[0] {
		case 'd':
			if len(p.Value) > 0 {
				_, _, err = decodeValue(p.Value)
			}
		case 's':
			if _, err = decodeSession(p.Value); err == nil && len(p.Key) != 9 {
				err = errDamaged
			}
		default:
			err = errDamaged
		}
		if err != nil {
			return damaged
		}
	}
	return nil
}
