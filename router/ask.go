package router

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Ask is a request to a Session from Go code that is not an actor.
type Ask struct {
	// Op is a message that an actor could send to a Session, or a *messages.MetaCommand or *messages.MetaQuery. It must not be
	// changed before Done is called or Cancel is closed.
	Op proto.Message
	// Timeout is how long the request is tried. 0 means DefaultTimeout; more than MaxTimeout counts as MaxTimeout.
	Timeout time.Duration
	// Done is called once, on the Session's goroutine: it must not block.
	Done func(*messages.Reply)
	// ReplyBudget bounds the reply to a read, in bytes as messages.ReplyBytes counts them. A read with a larger result is
	// OVERLOADED, and NeededBytes of its reply says how large the result is. 0: the Session chooses a budget, and asks again
	// with a larger one where it is too small.
	ReplyBudget int
	// Cancel is closed when the caller no longer waits: then a request that was not sent yet is not sent. Optional. It also
	// identifies the caller: where Asks wait for a window of the Session, a caller that was refused as OVERLOADED keeps its
	// place for its next Ask.
	Cancel <-chan struct{}
}

const (
	// DefaultTimeout is the timeout of a request whose caller gives none.
	DefaultTimeout = 5 * time.Second
	// MaxTimeout is the longest timeout of a request. With applySlack it is less than messages.MaxDeadlineMs.
	MaxTimeout = 30 * time.Second
)

// Options of a Router and its Sessions. The zero value of each number means its default.
type Options struct {
	// Name distinguishes the Sessions of a system: each needs its own.
	Name string
	// Contacts are addresses (host:port) of nodes that know the config, beside those that the config names.
	Contacts []string
	// DialError says why an address cannot be reached, for error texts; optional. The Router calls it on its goroutine.
	DialError func(address string) error
	// InFlight bounds the unanswered requests of a Session; a further one is OVERLOADED. Default 4096.
	InFlight int
	// RequestWindow bounds the bytes of a Session's requests above 4 KiB that are on their way. Default 16 MiB.
	RequestWindow int
	// ReplyWindow bounds the bytes of replies above 4 KiB that are on their way to a Session. Default 16 MiB.
	ReplyWindow int
}
