package persistence

import (
	"errors"
	"fmt"
)

// CorruptError tells that what is on disk cannot be what was written. The node must not go on with it.
type CorruptError struct {
	Where string // which record
	What  string // what is wrong with it and what to do
}

func (e *CorruptError) Error() string { return fmt.Sprintf("damaged data: %s: %s", e.Where, e.What) }

// ErrClosed is the answer of an engine that has been closed.
var ErrClosed = errors.New("engine is closed")

// ReplaceNode is the advice for damage that only another replica can mend.
const ReplaceNode = "remove this node from the cluster and let it join again with an empty data directory"
