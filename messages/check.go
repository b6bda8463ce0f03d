package messages

// CheckCommand tells why a command may not enter a log, whatever the state; nil: it may. Sessions ask before they send, and
// leaders before they propose: clients need not have a Session.
func CheckCommand(c *Command) *Error {
	if why := CheckOp(c); why != nil {
		return why
	}
	switch op := c.GetOp().(type) {
	case *Command_Put:
		if op.Put.Mode < Put_ALWAYS || op.Put.Mode > Put_IF_PRESENT {
			return Errorf(Code_INVALID, "unknown mode %d of a put", op.Put.Mode)
		}
	case *Command_Cas:
		return checkValue(op.Cas.GetExpect().GetValue())
	case *Command_Batch:
		return checkReplyBound(op.Batch, int(c.MaxReplyBytes))
	}
	return nil
}

// checkReplyBound refuses a batch whose answer could be too large, unless it says itself that it is not to be carried out then.
func checkReplyBound(b *Batch, most int) *Error {
	if most > MaxReplyBytes {
		return Errorf(Code_INVALID, "an answer of %d bytes is wanted; %d is the most", most, MaxReplyBytes)
	}
	values := 0
	for _, w := range b.Writes {
		if w.GetPut().GetReturnPrevious() || w.GetDelete().GetReturnPrevious() {
			values++
		}
	}
	if room := MaxReplyBytes/MaxValueBytes - 1; most == 0 && values > room {
		return Errorf(Code_TOO_LARGE, "the answer could be too large: a batch without max_reply_bytes may ask for %d previous values", room)
	}
	return nil
}

// CheckOp tells why a client's command is wrong, whatever the state; nil: it is not. Machines ask when they apply it, so it
// must never refuse more than it did when the command entered the log: what later versions refuse, CheckCommand does.
func CheckOp(c *Command) *Error {
	switch op := c.GetOp().(type) {
	case *Command_Put:
		return checkPair(c.Key(), op.Put.GetValue())
	case *Command_Append:
		return checkPair(c.Key(), op.Append.GetValue())
	case *Command_Delete, *Command_Incr:
		return CheckKey(c.Key())
	case *Command_Cas:
		if op.Cas.GetExpect().GetExpect() == nil {
			return Errorf(Code_INVALID, "compare-and-swap without a condition")
		}
		return checkPair(c.Key(), op.Cas.GetValue())
	case *Command_Batch:
		return checkBatch(op.Batch, c.Key())
	}
	return Errorf(Code_INVALID, "a shard group does not take this command")
}

// CheckSize tells why a command is too large to enter a log, once it is encoded.
func CheckSize(command []byte) *Error { return checkSize("command", len(command), MaxCommandBytes) }

// CheckQuerySize tells why a query is too large to be asked, once it is encoded.
func CheckQuerySize(query []byte) *Error { return checkSize("query", len(query), MaxQueryBytes) }

// CheckKey says why a key cannot be one; nil: it can.
func CheckKey(key []byte) *Error {
	if len(key) == 0 {
		return Errorf(Code_INVALID, "key is empty")
	}
	return checkSize("key", len(key), MaxKeyBytes)
}

func checkValue(value []byte) *Error { return checkSize("value", len(value), MaxValueBytes) }

func checkSize(what string, size, most int) *Error {
	if size > most {
		return Errorf(Code_TOO_LARGE, "%s is %d bytes long; %d is the most", what, size, most)
	}
	return nil
}

func checkPair(key, value []byte) *Error {
	if why := CheckKey(key); why != nil {
		return why
	}
	return checkValue(value)
}

func checkBatch(b *Batch, first []byte) *Error {
	if n := len(b.GetConditions()) + len(b.GetWrites()); n == 0 || n > MaxBatchOps {
		return Errorf(Code_INVALID, "a batch of %d operations: 1 to %d are possible", n, MaxBatchOps)
	}
	size := 0
	check := func(key, value []byte) *Error {
		if size += len(key) + len(value); size > MaxBatchBytes {
			return Errorf(Code_TOO_LARGE, "the batch is larger than %d bytes", MaxBatchBytes)
		}
		// Equal slots are equal buckets in every cluster; unequal ones are refused even where they happen to meet.
		if SlotOf(first) != SlotOf(key) {
			return Errorf(Code_INVALID, "the keys of a batch must share a slot: give them the same {tag}")
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
			return Errorf(Code_INVALID, "unknown write in a batch")
		}
		if why := check(w.Key(), w.Value()); why != nil {
			return why
		}
	}
	return nil
}

// CheckQuery tells why a query can never be answered, whatever the state; nil: it may be.
func CheckQuery(q *Query) *Error {
	switch op := q.GetOp().(type) {
	case *Query_Get:
		return CheckKey(op.Get.GetKey())
	case nil:
		return Errorf(Code_INVALID, "unknown query")
	}
	return CheckBounds(q)
}

// CheckMeta tells why a config command is not well formed; whether it makes sense is for the config to say.
func CheckMeta(m *MetaCommand) *Error {
	if m.GetOp() == nil {
		return Errorf(Code_INVALID, "unknown config command")
	}
	return CheckBounds(m)
}
