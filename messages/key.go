package messages

// Key is the key that decides where a client's command goes: the one it is about, of a batch the first. nil: it has none.
func (c *Command) Key() []byte {
	switch op := c.GetOp().(type) {
	case *Command_Put:
		return op.Put.GetKey()
	case *Command_Delete:
		return op.Delete.GetKey()
	case *Command_Append:
		return op.Append.GetKey()
	case *Command_Incr:
		return op.Incr.GetKey()
	case *Command_Cas:
		return op.Cas.GetExpect().GetKey()
	case *Command_Batch:
		for _, condition := range op.Batch.GetConditions() {
			return condition.GetKey()
		}
		for _, write := range op.Batch.GetWrites() {
			return write.Key()
		}
	}
	return nil
}

// Key is the key that is written.
func (w *Write) Key() []byte {
	switch op := w.GetOp().(type) {
	case *Write_Put:
		return op.Put.GetKey()
	case *Write_Delete:
		return op.Delete.GetKey()
	case *Write_Append:
		return op.Append.GetKey()
	case *Write_Incr:
		return op.Incr.GetKey()
	}
	return nil
}

// Value is what a write stores or adds.
func (w *Write) Value() []byte {
	if put := w.GetPut(); put != nil {
		return put.Value
	}
	return w.GetAppend().GetValue()
}
