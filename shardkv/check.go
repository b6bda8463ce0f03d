package shardkv

import (
	"github.com/eraft-io/eraft/messages"
)

func checkKey(key []byte) *messages.Error {
	if len(key) == 0 {
		return messages.Errorf(messages.Code_INVALID, "key is empty")
	}
	if len(key) > messages.MaxKeyBytes {
		return messages.Errorf(messages.Code_TOO_LARGE, "key is %d bytes long; %d is the most", len(key), messages.MaxKeyBytes)
	}
	return nil
}

func checkValue(value []byte) *messages.Error {
	if len(value) > messages.MaxValueBytes {
		return messages.Errorf(messages.Code_TOO_LARGE, "value is %d bytes long; %d is the most", len(value), messages.MaxValueBytes)
	}
	return nil
}

func checkPair(key, value []byte) *messages.Error {
	if why := checkKey(key); why != nil {
		return why
	}
	return checkValue(value)
}

// keyOf gives the key that decides a client command's bucket, or why the command is wrong whatever the state.
func keyOf(c *messages.Command) ([]byte, *messages.Error) {
	switch op := c.Op.(type) {
	case *messages.Command_Put:
		return op.Put.GetKey(), checkPair(op.Put.GetKey(), op.Put.GetValue())
	case *messages.Command_Delete:
		return op.Delete.GetKey(), checkKey(op.Delete.GetKey())
	case *messages.Command_Append:
		return op.Append.GetKey(), checkPair(op.Append.GetKey(), op.Append.GetValue())
	case *messages.Command_Incr:
		return op.Incr.GetKey(), checkKey(op.Incr.GetKey())
	case *messages.Command_Cas:
		if op.Cas.GetExpect().GetExpect() == nil {
			return nil, messages.Errorf(messages.Code_INVALID, "compare-and-swap without a condition")
		}
		return op.Cas.Expect.Key, checkPair(op.Cas.Expect.Key, op.Cas.Value)
	case *messages.Command_Batch:
		return batchKey(op.Batch)
	}
	return nil, messages.Errorf(messages.Code_INVALID, "a shard group does not take this command")
}

func batchKey(b *messages.Batch) ([]byte, *messages.Error) {
	if n := len(b.GetConditions()) + len(b.GetWrites()); n == 0 || n > messages.MaxBatchOps {
		return nil, messages.Errorf(messages.Code_INVALID, "a batch of %d operations: 1 to %d are possible", n, messages.MaxBatchOps)
	}
	var first []byte
	size := 0
	check := func(key, value []byte) *messages.Error {
		if size += len(key) + len(value); size > messages.MaxBatchBytes {
			return messages.Errorf(messages.Code_TOO_LARGE, "the batch is larger than %d bytes", messages.MaxBatchBytes)
		}
		if first == nil {
			first = key
		}
		// Equal slots are equal buckets in every cluster; unequal ones are refused even where they happen to meet.
		if messages.SlotOf(first) != messages.SlotOf(key) {
			return messages.Errorf(messages.Code_INVALID, "the keys of a batch must share a slot: give them the same {tag}")
		}
		return checkPair(key, value)
	}
	for _, c := range b.Conditions {
		if why := check(c.GetKey(), c.GetValue()); why != nil {
			return nil, why
		}
	}
	for _, w := range b.Writes {
		var why *messages.Error
		switch op := w.GetOp().(type) {
		case *messages.Write_Put:
			why = check(op.Put.GetKey(), op.Put.GetValue())
		case *messages.Write_Delete:
			why = check(op.Delete.GetKey(), nil)
		case *messages.Write_Append:
			why = check(op.Append.GetKey(), op.Append.GetValue())
		case *messages.Write_Incr:
			why = check(op.Incr.GetKey(), nil)
		default:
			why = messages.Errorf(messages.Code_INVALID, "unknown write in a batch")
		}
		if why != nil {
			return nil, why
		}
	}
	return first, nil
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
