// Package router takes a request to the leader of its group and its answer back: Session and Router actors, and the
// route table.
package router

import (
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// Path of the Router on every system that has one.
const Path = "router"

// MemberPath is where a node answers ConfigPull.
const MemberPath = "member"

// Router turns key -> slot -> bucket -> group -> leader, or another replica for reads that any may answer. Everything it
// drains for one replica leaves as one message.
//
//	receives             from      does
//	*forward             Sessions  sends requests to the leaders of their groups; tells the Session to whom
//	healed               Sessions  learns from a refusal or a silence
//	*messages.ConfigPush nodes     takes a newer config
//	*messages.Addresses  own node  takes what it knows of where nodes are beside the config
//	refresh              itself    asks for a newer config while one is wanted
//
// It keeps no requests: what it cannot route it gives back to the Session.
type Router struct {
	system        *actors.System
	contacts      []string
	table         *Table
	outgoing      map[replica]*messages.Requests
	order         []replica
	replicaCursor int // which replica answers the next reads that any may answer
	pullCount     int
	newerWanted   bool // a newer config is wanted, until there is one
	contactsLeft  int  // contacts that are still to be asked whether there is one
	pullPending   bool // one was asked a moment ago
	self          *actor.PID
}

type (
	// forward is what one Session has for the Router in one turn.
	forward struct {
		session  *actor.PID
		requests []outgoing
	}
	// routed is one request on its way: encoded, and where it wants to go.
	outgoing struct {
		target
		seq         uint64
		command     bool
		retry       bool // a command that was sent before
		anyReplica  bool // a read that any replica may answer
		replyBudget int  // bytes that its answer may have, if it is a read; 0: any number
		encoded     []byte
	}
	// receiver is the replica that gets a request. Node 0: there is none.
	replica struct{ group, node uint64 }
	// target is where a request wants to go: to group 0, to a bucket, or to the bucket of a key.
	target struct {
		meta     bool
		byBucket bool
		bucket   uint32
		key      []byte
	}
	// sent tells a Session where its requests went; node 0: nowhere, there is no route. level is the cluster's feature level.
	sent struct {
		seqs    []uint64
		replica replica
		level   messages.Level
	}
	// healed tells what a Session learned about a group or bucket.
	healed struct {
		group, node, leader uint64
		silent, heard       bool // the node did not answer; or does again
		wrong               bool // the group does not serve the target's bucket
		outdated            bool // the cluster has a higher feature level
		target              target
		hint                *messages.Hint
	}
	refresh struct{}
)

const (
	pullInterval  = 100 * time.Millisecond
	maxBatchBytes = 1 << 20 // of one Requests message; one larger request still travels
)

// Options of a Router and its Sessions.
type Options struct {
	// Name tells a system's Sessions apart; each needs its own.
	Name string
	// Contacts are addresses of nodes that know the config, beside those that the config names.
	Contacts []string
	// Trouble says why an address cannot be reached, for people; optional. It is called on any goroutine.
	DialError func(address string) error
	// InFlight bounds a Session's unanswered requests; above: OVERLOADED. Default 4096.
	InFlight int
	// Window bounds the bytes of a Session's large requests that are on their way. Default 16 MiB.
	RequestWindow int
	// Answers bounds the bytes of the larger answers that are on their way to a Session. Default 16 MiB.
	ReplyWindow int
}

func (r *Router) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		r.self = ctx.Self()
		r.wantNewer()
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
	case healed:
		r.onFeedback(m)
	case *messages.ConfigPush:
		if r.table.Update(m.Config) {
			r.newerWanted, r.contactsLeft = false, 0
		}
	case *messages.NodeAddresses:
		for _, a := range m.Nodes {
			r.table.SetAddress(a)
		}
	case refresh:
		if r.pullPending = false; r.newerWanted || r.contactsLeft > 0 {
			r.pullNext()
		}
	}
}

// outdated asks for a newer config, and again until there is one.
func (r *Router) wantNewer() {
	r.newerWanted = true
	r.pullNext()
}

// inquire asks all contacts whether there is a newer config, one after the other: those that it knows may be gone, and who has
// no newer one does not answer.
func (r *Router) pullFromAll() {
	r.contactsLeft = len(r.configSources())
	r.pullNext()
}

// ask asks the next contact, unless one was asked a moment ago.
func (r *Router) pullNext() {
	if r.pullPending {
		return
	}
	r.pullPending, r.contactsLeft = true, max(0, r.contactsLeft-1)
	r.pull()
	r.system.Clock.After(pullInterval, func() { r.system.Root.Send(r.self, refresh{}) })
}

func (r *Router) onForward(f *forward) {
	askers := map[replica][]*messages.SessionRequests{} // of one receiver, one for each room
	var order []replica
	told := map[replica]*sent{}
	r.replicaCursor++
	for _, q := range f.requests {
		if r.refuseUnroutable(f.session, q) {
			continue
		}
		if q.command && r.table.Level() < messages.DeadlineLevel {
			q.encoded = messages.WithDeadline(q.encoded, 0) // leaders of that level would not obey it
		}
		if r.refuseUnsupported(f.session, q) {
			continue
		}
		to := r.route(q)
		if told[to] == nil {
			told[to] = &sent{replica: to, level: r.table.Level()}
			order = append(order, to)
		}
		told[to].seqs = append(told[to].seqs, q.seq)
		if to.node == 0 {
			continue
		}
		at := slices.IndexFunc(askers[to], func(a *messages.SessionRequests) bool { return a.ReplyBudget == uint64(q.replyBudget) })
		if at < 0 {
			at = len(askers[to])
			askers[to] = append(askers[to], &messages.SessionRequests{Address: f.session.Address, Id: f.session.Id, ReplyBudget: uint64(q.replyBudget)})
		}
		a := askers[to][at]
		switch {
		case q.command && q.retry:
			a.Retries = append(a.Retries, q.encoded)
		case q.command:
			a.Commands = append(a.Commands, q.encoded)
		case q.anyReplica:
			a.ReplicaQueries = append(a.ReplicaQueries, q.encoded)
		default:
			a.Queries = append(a.Queries, q.encoded)
		}
	}
	for _, to := range order {
		r.system.Root.Send(f.session, told[to])
		for _, a := range askers[to] {
			r.gather(to, a)
		}
	}
}

// receiver is where a request goes now. Without one a newer config is asked for.
func (r *Router) route(q outgoing) replica {
	group, ok := r.groupOf(q)
	if !ok {
		r.wantNewer()
		return replica{}
	}
	node, address := r.table.Leader(group)
	if q.anyReplica {
		node, address = r.table.Replica(group, r.system.Address(), r.replicaCursor)
	}
	if address == "" {
		r.wantNewer()
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

// in gives the bucket in a cluster of that many.
func (t target) bucketIn(buckets int) uint32 {
	if t.byBucket {
		return t.bucket
	}
	return uint32(messages.BucketOf(t.key, buckets))
}

// nowhere tells that a request can never be routed, and says so to its Session.
func (r *Router) refuseUnroutable(to *actor.PID, q outgoing) bool {
	buckets := r.table.Buckets()
	if !q.byBucket || buckets == 0 || uint64(q.bucket) < uint64(buckets) {
		return false
	}
	session, seq := messages.RequestID(q.encoded)
	r.system.Root.Send(to, &messages.Replies{Replies: []*messages.Reply{{
		Session: session, Seq: seq, Code: messages.Code_INVALID,
		Text: fmt.Sprintf("there is no bucket %d: the cluster has %d", q.bucket, buckets),
	}}})
	return true
}

// refuseUnsupported tells that a command cannot be sent to a cluster that does not understand it yet, and says so to its Session. Leaders
// refuse it too, but those of the first level would ignore what they do not know.
func (r *Router) refuseUnsupported(to *actor.PID, q outgoing) bool {
	level := r.table.Level()
	if !q.command || r.table.Version() == 0 || level >= messages.NewestLevel {
		return false
	}
	needs, err := messages.CommandLevel(q.encoded)
	if err != nil || needs <= level {
		return false
	}
	session, seq := messages.RequestID(q.encoded)
	why := messages.LevelMissing(needs, level)
	r.system.Root.Send(to, &messages.Replies{Replies: []*messages.Reply{{Session: session, Seq: seq, Code: why.Code, Text: why.Text}}})
	return true
}

func (r *Router) gather(to replica, a *messages.SessionRequests) {
	if r.outgoing[to] == nil {
		r.outgoing[to] = &messages.Requests{Group: to.group}
		r.order = append(r.order, to)
	}
	r.outgoing[to].Sessions = append(r.outgoing[to].Sessions, a)
}

// send lets everything gathered leave, in messages of bounded size.
func (r *Router) flush() {
	for _, to := range r.order {
		pid := actor.NewPID(r.table.address(to.node), "raft/"+messages.GroupID(to.group).String())
		for _, part := range splitRequests(r.outgoing[to]) {
			r.system.Root.Send(pid, part)
		}
		delete(r.outgoing, to)
	}
	r.order = r.order[:0]
}

// split cuts a message that is too big into several.
func splitRequests(m *messages.Requests) []*messages.Requests {
	if proto.Size(m) <= maxBatchBytes {
		return []*messages.Requests{m}
	}
	parts, size := []*messages.Requests{{Group: m.Group}}, 0
	for _, a := range m.Sessions {
		var b *messages.SessionRequests // a's in the last part
		fit := func(request []byte) *messages.SessionRequests {
			n := len(request) + frameBytes
			if size > 0 && size+n > maxBatchBytes {
				parts, size, b = append(parts, &messages.Requests{Group: m.Group}), 0, nil
			}
			if b == nil {
				b = &messages.SessionRequests{Address: a.Address, Id: a.Id, ReplyBudget: a.ReplyBudget}
				last := parts[len(parts)-1]
				last.Sessions = append(last.Sessions, b)
				size += proto.Size(b) + frameBytes
			}
			size += n
			return b
		}
		for _, again := range a.Retries {
			b := fit(again)
			b.Retries = append(b.Retries, again)
		}
		for _, command := range a.Commands {
			b := fit(command)
			b.Commands = append(b.Commands, command)
		}
		for _, query := range a.Queries {
			b := fit(query)
			b.Queries = append(b.Queries, query)
		}
		for _, query := range a.ReplicaQueries {
			b := fit(query)
			b.ReplicaQueries = append(b.ReplicaQueries, query)
		}
	}
	return parts
}

// frameBytes is more than what is around a request, or an asker, in a message.
const frameBytes = 8

func (r *Router) onFeedback(h healed) {
	switch {
	case h.outdated:
		if r.table.Level() < messages.DeadlineLevel {
			r.pullFromAll()
		}
	case h.wrong:
		if n := r.table.Buckets(); n > 0 {
			r.table.RecordMove(h.target.bucketIn(n), h.hint)
		}
		if h.hint.GetGroup() == 0 || h.hint.ConfigVersion > r.table.Version() {
			r.wantNewer()
		}
	case h.heard:
		r.table.SetSuspected(h.node, false)
	case h.leader != 0:
		if !r.table.SetLeader(h.group, h.leader) {
			r.pullFromAll() // it has joined since
		}
	default:
		if h.silent {
			r.table.SetSuspected(h.node, true)
			r.pullFromAll() // the group may be over, and then nobody there is left to say so
		}
		r.table.LeaderFailed(h.group, h.node)
	}
}

// askable are the addresses of nodes that may have a newer config.
func (r *Router) configSources() []string {
	all := slices.Clone(r.contacts)
	for _, address := range r.table.Addresses() {
		if !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	return all
}

// pull asks the next contact for a newer config.
func (r *Router) pull() {
	contacts := r.configSources()
	if len(contacts) == 0 {
		return
	}
	to := contacts[r.pullCount%len(contacts)]
	r.pullCount++
	r.system.Root.Send(actor.NewPID(to, MemberPath), &messages.ConfigPull{
		HaveVersion: r.table.Version(), ReplyAddress: r.system.Address(), ReplyId: Path,
	})
}
