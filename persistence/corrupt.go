package persistence

import (
	"errors"
	"fmt"
)

// CorruptError tells that the disk does not hold what was written to it. The node must stop.
type CorruptError struct {
	Where string // the record or file
	What  string // what is wrong with it, and what the operator should do
}

func (e *CorruptError) Error() string { return fmt.Sprintf("damaged data: %s: %s", e.Where, e.What) }

// ErrClosed is returned by all calls of an engine that has been closed.
var ErrClosed = errors.New("engine is closed")

// ReplaceNode is the advice for damage that only other replicas can repair.
const ReplaceNode = "remove this node from the cluster and let it join again with an empty data directory"
