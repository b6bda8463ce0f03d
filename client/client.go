// Package client is the Go client of an eRaft cluster. It is pure Go and imports no server package.
//
//	c, err := client.Connect(ctx, client.Config{Seeds: []string{"10.0.0.1:7400", "10.0.0.2:7400"}})
//	version, err := c.Put(ctx, []byte("k"), []byte("v"))
//	value, found, err := c.Get(ctx, []byte("k"))
//	done, err := c.Txn().If(client.VersionIs(key, value.Version)).Put(key, next).Incr(count, 1).Commit(ctx)
//	for item, err := range c.Scan(ctx, client.ScanOptions{Prefix: []byte("user/")}) { … }
//
// A Client has a Session and a Router of its own: it finds the node that leads a key's group, and retries a call under the same
// identity until its deadline, at most 30 s, so that a retried call is applied once. Calls are linearizable. Keys have 1 to 1024
// bytes, values at most 1 MiB, a transaction at most 128 writes and 2 MiB. The keys of one transaction share a slot: keys with the
// same {tag} do.
//
// An error says what the caller may do next: see ErrConflict and those below it.
package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/remoting"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// What an error asks of the caller; use errors.Is. Every error of this package carries one of them or is the
// context's.
var (
	ErrConflict       error = &messages.Error{Code: messages.Code_CONFLICT}        // a condition did not hold; nothing was written
	ErrUncertain      error = &messages.Error{Code: messages.Code_UNCERTAIN}       // it may have been applied: read before repeating it
	ErrReplyDiscarded error = &messages.Error{Code: messages.Code_REPLY_DISCARDED} // applied once, but its reply was not kept: read, do not repeat it
	ErrOverloaded     error = &messages.Error{Code: messages.Code_OVERLOADED}      // not applied: try again later, with fewer requests
	ErrUnavailable    error = &messages.Error{Code: messages.Code_UNAVAILABLE}     // not applied: there is no leader or no quorum now
	ErrInvalid        error = &messages.Error{Code: messages.Code_INVALID}         // not applied: the request is wrong
	ErrTooLarge       error = &messages.Error{Code: messages.Code_TOO_LARGE}       // not applied: above a limit
)

// Config of a Client.
type Config struct {
	Seeds   []string      // host:port of nodes of the cluster; one that answers is enough
	Timeout time.Duration // of a call whose context has no deadline; default 5 s, at most 30 s
	// InFlight bounds unanswered calls; a further one is ErrOverloaded. Default 4096.
	InFlight int
	// RequestWindow bounds the bytes of calls above 4 KiB that are on their way. A further one waits, at most a second: then it is
	// ErrOverloaded. Calls with the same cancelable context belong to one caller: a refused caller that calls again goes before
	// callers that came later. Default 16 MiB.
	RequestWindow int
	// ReplyWindow bounds the bytes of replies above 4 KiB that are on their way; reads wait for it as calls wait for RequestWindow.
	// A value crosses the network when there is room for it: a Get may be sent twice, the first time to learn the size. Default
	// 16 MiB.
	ReplyWindow int
	// ReplicaReads lets any replica answer Get and Scan instead of the leader, each replica in turn. Such reads are linearizable
	// too. They take one hop more, and spread the work over all nodes.
	ReplicaReads bool
	// Author is the name that the config chain records for config changes; optional. It is not verified.
	Author string
	// System is a Proto.Actor system of the caller, optional: then PID is an actor in it, and its actors can send to PID.
	System *actor.ActorSystem
}

// Client talks to one cluster. It is safe for concurrent use, and goroutines should share one: their calls travel in the same
// messages.
type Client struct {
	system   *actors.System
	session  *actor.PID
	pid      *actor.PID
	foreign  *actor.ActorSystem // the system of pid, if that is not the client's own
	timeout  time.Duration
	readFrom messages.ReadFrom
	author   string
	network  *remoting.Network // nil: the client does not own the system
	waiter   Waiter            // nil: calls wait by the machine's clock
}

// Connect connects to a cluster through its seeds. It returns when a node has answered with the config. The error says which seeds
// did not answer.
func Connect(ctx context.Context, c Config) (*Client, error) {
	cl, err := Dial(c)
	if err != nil {
		return nil, err
	}
	if _, err := cl.Config(ctx, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %v: %w", c.Seeds, err), cl.Close())
	}
	return cl, nil
}

// Dial is Connect without the wait: calls find the cluster, or fail. Status needs no cluster.
func Dial(c Config) (*Client, error) {
	if len(c.Seeds) == 0 {
		return nil, messages.Errorf(messages.Code_INVALID, "no seeds: name at least one node of the cluster")
	}
	if err := messages.CheckAddresses(c.Seeds); err != nil {
		return nil, messages.Errorf(messages.Code_INVALID, "seeds: %v", err)
	}
	network := remoting.New(remoting.Options{Rules: router.Rules()}) // does not listen: replies come on the streams that the client opens
	system, err := actors.NewSystem(actors.Env{
		Clock: actors.NewSystemClock(), Rand: actors.SeededRand(rand.Uint64()),
		Events: func(actors.Event) {}, Fatal: func(error) {},
	}, network)
	if err != nil {
		return nil, err
	}
	session, err := router.Start(system, router.Options{
		Contacts: c.Seeds, DialError: network.DialError, InFlight: c.InFlight, RequestWindow: c.RequestWindow, ReplyWindow: c.ReplyWindow,
	})
	if err != nil {
		return nil, errors.Join(err, network.Detach())
	}
	cl := FromSession(system, session)
	cl.network, cl.author = network, c.Author
	if c.ReplicaReads {
		cl.readFrom = messages.ReadFrom_REPLICA
	}
	if c.Timeout > 0 {
		cl.timeout = min(c.Timeout, router.MaxTimeout)
	}
	if c.System != nil {
		if err := cl.attach(c.System); err != nil {
			return nil, errors.Join(err, cl.Close())
		}
	}
	return cl, nil
}

// FromSession makes a Client that uses a running Session, as a node does for its own. The Client does not own the system.
func FromSession(system *actors.System, session *actor.PID) *Client {
	return &Client{system: system, session: session, pid: session, timeout: router.DefaultTimeout}
}

// attach spawns an actor in the caller's system that forwards to the Session.
func (c *Client) attach(system *actor.ActorSystem) error {
	props := actor.PropsFromFunc(func(ctx actor.Context) {
		op, ok := ctx.Message().(proto.Message)
		sender := ctx.Sender()
		if !ok || sender == nil {
			return
		}
		root := ctx.ActorSystem().Root
		c.Ask(op, c.timeout, func(r *messages.Reply) { root.Send(sender, r) })
	})
	pid, err := system.Root.SpawnNamed(props, c.session.Id)
	if err != nil {
		return fmt.Errorf("spawn in the caller's system: %w", err)
	}
	c.pid, c.foreign = pid, system
	return nil
}

// PID is an actor that accepts *messages.Get, Put, Delete, Append, Incr, CompareAndSwap, Batch and Scan, and replies to each sender
// with a *messages.Reply. It is in Config.System if one was given, and valid until Close.
func (c *Client) PID() *actor.PID { return c.pid }

// Close ends the client. Calls that wait are answered: with ErrUncertain if they are writes that were sent, else with
// ErrUnavailable. Calls that begin afterwards wait until their context or timeout ends.
func (c *Client) Close() error {
	var err error
	if c.foreign != nil {
		err = c.foreign.Root.StopFuture(c.pid).Wait()
	}
	err = errors.Join(err, c.system.Root.StopFuture(c.session).Wait())
	if c.network == nil {
		return err
	}
	err = errors.Join(err, c.system.Root.StopFuture(actor.NewPID(c.system.Address(), router.Path)).Wait())
	return errors.Join(err, c.network.Detach())
}

// Ask sends an operation and calls done once with the reply, on a goroutine that must not be blocked. op must not be changed
// before that. The blocking calls are made of it.
func (c *Client) Ask(op proto.Message, timeout time.Duration, done func(*messages.Reply)) {
	c.ask(&router.Ask{Op: op, Timeout: timeout, Done: done})
}

func (c *Client) ask(a *router.Ask) { c.system.Root.Send(c.session, a) }

// Do sends an operation and waits for its reply. The error is the reply's, or the context's: then the operation may still be
// applied.
func (c *Client) Do(ctx context.Context, op proto.Message) (*messages.Reply, error) {
	if c.waiter != nil {
		replies, problems := c.doSimulated(ctx, []proto.Message{op})
		return replies[0], problems[0]
	}
	timeout := c.timeout
	if deadline, ok := ctx.Deadline(); ok {
		if timeout = time.Until(deadline); timeout <= 0 {
			return nil, context.DeadlineExceeded
		}
	}
	answer := make(chan *messages.Reply, 1)
	c.ask(&router.Ask{Op: op, Timeout: timeout, Cancel: ctx.Done(), Done: func(r *messages.Reply) { answer <- r }})
	select {
	case r := <-answer:
		return r, r.Err()
	case <-ctx.Done():
		select {
		case r := <-answer:
			return r, r.Err()
		case <-time.After(sessionGrace):
			return nil, errors.Join(messages.Errorf(messages.Code_UNCERTAIN, "no answer before the context ended"), ctx.Err())
		}
	}
}

// sessionGrace is how long a call waits beyond its context's deadline for the Session's reply at the same deadline: the Session
// knows whether the request was ever sent.
const sessionGrace = 50 * time.Millisecond
