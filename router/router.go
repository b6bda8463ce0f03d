// Package router takes a request to the leader of its group and its reply back: the Session and Router actors, and the pure
// objects that decide for them.
//
// A Session accepts operations and is the only component that retries. A Router knows which node leads which group. Both run
// on every node and in every client. KeyspaceIterator walks over all keys by means of a Session.
package router

import (
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// Path is the actor path of the Router on every system that has one.
const Path = "router"

// MemberPath is the actor path at which a node answers ConfigPull, StatusPull, Hello and JoinRequest.
const MemberPath = "member"

// Router sends requests to the replicas that can carry them out: key -> slot -> bucket -> group -> leader, or another
// replica for reads that any replica may answer. All requests of one mailbox batch to one replica leave as one message.
//
//	receives                  from      does
//	*forward                  Sessions  sends the requests; tells the Session to which replicas (*dispatched)
//	routeFeedback             Sessions  corrects the routes
//	*messages.ConfigPush      nodes     adopts a newer config
//	*messages.NodeAddresses   own node  learns addresses of nodes that are newer than the config
//	pullTick                  itself    asks another node for a newer config, while one is wanted
//
// It owns the routing state of the system, and keeps no requests: what it cannot route it gives back to the Session.
type Router struct {
	system     *actors.System
	self       *actor.PID
	contacts   []string // see Options
	dialError  func(address string) error
	table      *Table
	batches    requestBatches // of the current mailbox batch
	puller     configPuller
	roundRobin int // which replica is asked next for reads that any replica may answer
}

type pullTick struct{}

const (
	pullInterval = 100 * time.Millisecond // between two ConfigPulls
	// suspicionTime is how long hints to a node are not believed after it was silent: other replicas name a dead leader until
	// they elect another.
	suspicionTime = time.Second
)

func newRouter(system *actors.System, o Options) *Router {
	return &Router{system: system, contacts: o.Contacts, dialError: o.DialError, table: NewTable(), batches: newRequestBatches()}
}

// Receive implements actor.Actor.
func (r *Router) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		r.self = ctx.Self()
		r.wantNewerConfig()
	case []any:
		for _, element := range m {
			message, _ := actors.Unwrap(element)
			r.on(message)
		}
		r.flush()
	}
}

func (r *Router) on(message any) {
	switch m := message.(type) {
	case *forward:
		r.onForward(m)
	case routeFeedback:
		r.onFeedback(m)
	case *messages.ConfigPush:
		if r.table.Update(m.Config) {
			r.puller.received()
		}
	case *messages.NodeAddresses:
		for _, a := range m.Nodes {
			r.table.SetAddress(a)
		}
	case pullTick:
		if r.puller.tick() {
			r.pull()
		}
	}
}

// onForward sends the requests of a Session, and tells it where they went.
func (r *Router) onForward(f *forward) {
	bySession := map[replica][]*messages.SessionRequests{} // of one replica: one for each reply budget
	reports := map[replica]*dispatched{}
	var order []replica
	r.roundRobin++
	for _, q := range f.requests {
		if r.refuseUnroutable(f.session, q) {
			continue
		}
		if q.command && r.table.Level() < messages.DeadlineLevel {
			q.encoded = messages.WithDeadline(q.encoded, 0) // leaders of that level do not obey it
		}
		if r.refuseUnsupported(f.session, q) {
			continue
		}
		to := r.route(q)
		if reports[to] == nil {
			reports[to] = r.report(to)
			order = append(order, to)
		}
		reports[to].seqs = append(reports[to].seqs, q.seq)
		if to.node != 0 {
			bySession[to] = addRequest(bySession[to], f.session, q)
		}
	}
	for _, to := range order {
		r.system.Root.Send(f.session, reports[to])
		for _, requests := range bySession[to] {
			r.batches.add(to, requests)
		}
	}
}

// report is what a Session is told of requests that go to a replica.
func (r *Router) report(to replica) *dispatched {
	d := &dispatched{to: to, level: r.table.Level(), suspected: r.table.Suspected()}
	if to.node == 0 {
		for i, address := range r.contacts {
			d.unroutable += []string{"; no config from ", ", "}[min(i, 1)] + address
			if r.dialError == nil {
				continue
			}
			if err := r.dialError(address); err != nil {
				d.unroutable += fmt.Sprintf(" (%v)", err)
			}
		}
	}
	return d
}

// route gives the replica that a request is sent to. Without one, the Router asks for a newer config.
func (r *Router) route(q outgoing) replica {
	group, ok := r.groupOf(q)
	if !ok {
		r.wantNewerConfig()
		return replica{}
	}
	node, address := r.table.Leader(group)
	if q.anyReplica {
		node, address = r.table.Replica(group, r.system.Address(), r.roundRobin)
	}
	if address == "" {
		r.wantNewerConfig()
		return replica{}
	}
	return replica{group, node}
}

func (r *Router) groupOf(q outgoing) (uint64, bool) {
	if q.meta {
		return uint64(messages.Meta), true
	}
	if r.table.Buckets() == 0 {
		return 0, false
	}
	return r.table.Group(q.bucketIn(r.table.Buckets()))
}

// refuseUnroutable refuses a request for a bucket that the cluster does not have, and reports whether it did.
func (r *Router) refuseUnroutable(session *actor.PID, q outgoing) bool {
	buckets := r.table.Buckets()
	if !q.byBucket || buckets == 0 || uint64(q.bucket) < uint64(buckets) {
		return false
	}
	r.refuse(session, q, messages.Errorf(messages.Code_INVALID, "there is no bucket %d: the cluster has %d", q.bucket, buckets))
	return true
}

// refuseUnsupported refuses a command that the cluster's feature level does not include, and reports whether it did. Leaders
// refuse it too, but those of the first level would ignore the fields that they do not know.
func (r *Router) refuseUnsupported(session *actor.PID, q outgoing) bool {
	level := r.table.Level()
	if !q.command || r.table.Version() == 0 || level >= messages.NewestLevel {
		return false
	}
	needs, err := messages.CommandLevel(q.encoded)
	if err != nil || needs <= level {
		return false
	}
	r.refuse(session, q, messages.LevelMissing(needs, level))
	return true
}

func (r *Router) refuse(to *actor.PID, q outgoing, why *messages.Error) {
	session, seq := messages.RequestID(q.encoded)
	r.system.Root.Send(to, &messages.Replies{Replies: []*messages.Reply{{Session: session, Seq: seq, Code: why.Code, Text: why.Text}}})
}

// flush sends all requests of a mailbox batch.
func (r *Router) flush() {
	r.batches.flush(func(to replica, m *messages.Requests) {
		r.system.Root.Send(actor.NewPID(r.table.address(to.node), "raft/"+messages.GroupID(to.group).String()), m)
	})
}

// onFeedback corrects the routes by what a Session learned.
func (r *Router) onFeedback(f routeFeedback) {
	switch {
	case f.newerLevel:
		if r.table.Level() < messages.DeadlineLevel {
			r.wantFromAllContacts()
		}
	case f.wrongGroup:
		if n := r.table.Buckets(); n > 0 {
			r.table.RecordMove(f.target.bucketIn(n), f.hint)
		}
		if f.hint.GetGroup() == 0 || f.hint.ConfigVersion > r.table.Version() {
			r.wantNewerConfig()
		}
	case f.heard:
		r.table.Heard(f.node)
	case f.leader != 0:
		if !r.table.SetLeader(f.group, f.leader) {
			r.wantFromAllContacts() // the leader has joined since this config
		}
	default:
		if f.silent {
			r.table.Suspect(f.node, r.system.Clock.Now()+suspicionTime)
			r.wantFromAllContacts() // the group may have ended, and no node may be left there to say so
		}
		r.table.LeaderFailed(f.group, f.node)
	}
}

// wantNewerConfig asks nodes for a newer config, one after the other, until one is received.
func (r *Router) wantNewerConfig() {
	if r.puller.wantNewer() {
		r.pull()
	}
}

// wantFromAllContacts asks every contact once whether it has a newer config. Those that the Router knows may be dead, and a
// node that has no newer config does not answer.
func (r *Router) wantFromAllContacts() {
	if r.puller.wantFromAll(len(r.configSources())) {
		r.pull()
	}
}

// configSources are the addresses of nodes that may have a newer config.
func (r *Router) configSources() []string {
	all := slices.Clone(r.contacts)
	for _, address := range r.table.Addresses() {
		if !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	return all
}

// pull asks the next source for a newer config, and schedules the next tick.
func (r *Router) pull() {
	if to, ok := r.puller.next(r.configSources()); ok {
		r.system.Root.Send(actor.NewPID(to, MemberPath), &messages.ConfigPull{
			HaveVersion: r.table.Version(), ReplyAddress: r.system.Address(), ReplyId: Path,
		})
	}
	r.system.Clock.After(pullInterval, func() { r.system.Root.Send(r.self, pullTick{}) })
}
