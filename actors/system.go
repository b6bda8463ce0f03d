// Package actors is how eRaft runs actors. A System is one Proto.Actor actor system with an address, an Env with everything that actors may
// use besides messages, PIDs with chosen paths, a batching mailbox, and supervision that never restarts a durable actor with an empty
// memory. A Guard decides which messages of other systems come in.
package actors

import (
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/eraft-io/eraft/messages"
)

// System is one node's (or client's) actor system.
type System struct {
	*actor.ActorSystem
	Env
	identity        atomic.Pointer[Identity]
	replyAddress    string
	durable, others supervision
}

// Identity is the sender of messages: it goes with every envelope to another system. Without a Cluster or without a Node the sender is
// unauthenticated: a client, or a node that has not joined; such a sender may send only what Rule.Unauthenticated allows.
type Identity struct {
	Cluster uint64
	Node    messages.NodeID
	Epoch   messages.Epoch
}

// Unauthenticated tells whether the identity claims no membership.
func (id Identity) Unauthenticated() bool { return id.Cluster == 0 || id.Node == 0 }

// Network connects a system with others. Actors cannot tell whether it is TCP or a simulation.
type Network interface {
	// Attach gives sys its address and starts delivery. It is called once, before anything is spawned.
	Attach(sys *System) error
	// Detach stops delivery in both directions and waits until nothing of the network runs any more.
	Detach() error
}

// NewSystem makes a system and attaches it to a network.
func NewSystem(env Env, network Network) (*System, error) {
	s := &System{ActorSystem: actor.NewActorSystem(actor.WithLoggerFactory(discardLogs)), Env: env}
	s.identity.Store(&Identity{})
	s.durable, s.others = supervision{s, true}, supervision{s, false}
	if err := network.Attach(s); err != nil {
		return nil, err
	}
	return s, nil
}

// Identity is the identity that outgoing envelopes carry now.
func (s *System) Identity() Identity { return *s.identity.Load() }

// SetIdentity changes the identity that outgoing envelopes carry: once, when a node has joined.
func (s *System) SetIdentity(id Identity) { s.identity.Store(&id) }

// ReportSuperseded is called by the Network when members know of a later boot of this system's node than this one, which must stop.
func (s *System) ReportSuperseded(by messages.Epoch) {
	if s.Env.Superseded != nil && by > s.Identity().Epoch {
		s.Env.Superseded(by)
	}
}

// ReplyAddress is the address that a system gives to those that reply to it. No system opens connections to clients: replies to them go
// back over the connection on which the request came. Replies to members go to their Address.
func (s *System) ReplyAddress() string {
	if s.replyAddress == "" {
		return s.Address()
	}
	return s.replyAddress
}

// SetReplyAddress sets the ReplyAddress. Only the Network calls it, in Attach. Without it the reply address is the Address.
func (s *System) SetReplyAddress(address string) { s.replyAddress = address }

// PID names an actor by address and path; the address may be this system's own.
func (s *System) PID(address, path string) *actor.PID { return actor.NewPID(address, path) }

// Option changes how an actor is spawned.
type Option func(*spawning)

type spawning struct {
	durable bool
	mailbox actor.MailboxProducer
}

// Durable marks an actor whose memory mirrors a disk, or holds what other actors have sent and would not send again: if it panics, the
// node stops (Env.Fatal); it is never restarted with an empty memory.
func Durable() Option { return func(o *spawning) { o.durable = true } }

// Batching gives the actor everything that has arrived as one []any per Receive. Above the bound each further message is passed to shed,
// on the sender's goroutine; if it returns true, it has dealt with the message, which does not enter the mailbox.
func Batching(bound MailboxBound, shed func(message any) bool) Option {
	return func(o *spawning) { o.mailbox = newBatchMailbox(bound, shed) }
}

// Spawn starts an actor under a chosen path. It fails if another actor has the path.
func (s *System) Spawn(path string, producer func() actor.Actor, options ...Option) (*actor.PID, error) {
	var o spawning
	for _, option := range options {
		option(&o)
	}
	guardian := &s.others
	if o.durable {
		guardian = &s.durable
	}
	props := actor.PropsFromProducer(producer, actor.WithGuardian(guardian))
	if o.mailbox != nil {
		props.Configure(actor.WithMailbox(o.mailbox))
	}
	pid, err := s.Root.SpawnNamed(props, path)
	if err != nil {
		return nil, fmt.Errorf("spawn %s: %w", path, err)
	}
	return pid, nil
}
