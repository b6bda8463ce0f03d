package router

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

// What Sessions and the Router of a system say to each other. The Router is the only owner of routes: which node leads a
// group, which group serves a bucket, which nodes are suspected. Sessions report what they learn, as routeFeedback, and know
// of routes only what the last *dispatched said.
type (
	// forward is all attempts that one Session made in one mailbox batch.
	forward struct {
		session  *actor.PID
		requests []outgoing
	}
	// outgoing is one attempt of a request.
	outgoing struct {
		target
		seq         uint64
		command     bool   // else it is a read
		retry       bool   // a command that was sent before
		anyReplica  bool   // a read that any replica may answer
		replyBudget int    // bytes that the reply to a read may have; 0: any number
		encoded     []byte // a *messages.Command or *messages.Query
	}
	// target is where a request must go: to group 0 (meta), to a bucket (byBucket), or to the bucket of a key.
	target struct {
		meta     bool
		byBucket bool
		bucket   uint32
		key      []byte
	}
	// replica names a replica: that of a group on a node. Node 0 means no replica.
	replica struct{ group, node uint64 }

	// dispatched tells a Session to which replica the Router sent some of its requests; node 0: there is no route, and they
	// were not sent.
	dispatched struct {
		seqs       []uint64
		to         replica
		level      messages.Level           // feature level of the cluster, as far as the Router knows
		suspected  map[uint64]time.Duration // node -> until when hints to it are not believed; the Session's own copy
		unroutable string                   // the rest of a sentence: who was asked for a config, if there is no route
	}
	// routeFeedback tells the Router what a Session learned from one reply, or from its absence.
	routeFeedback struct {
		group, node uint64 // the replica that was asked
		leader      uint64 // node that leads the group, as a replica says; 0: it does not know
		silent      bool   // the node did not reply in time
		heard       bool   // a suspected node has replied
		wrongGroup  bool   // the group does not serve the bucket of target; hint says which does, if known
		newerLevel  bool   // the cluster has a higher feature level than the Router's config says
		target      target
		hint        *messages.Hint
	}
)

// bucketIn gives the target's bucket in a cluster of that many buckets.
func (t target) bucketIn(buckets int) uint32 {
	if t.byBucket {
		return t.bucket
	}
	return uint32(messages.BucketOf(t.key, buckets))
}

// routeReport is what the Router has said to a Session.
type routeReport struct {
	level      messages.Level // feature level of the cluster; 0 before the first report, which counts as the first level
	suspected  map[uint64]time.Duration
	unroutable string
}

// update takes the Router's newest report.
func (r *routeReport) update(m *dispatched) {
	r.level, r.suspected = max(r.level, m.level), m.suspected
	if m.to.node == 0 {
		r.unroutable = m.unroutable
	}
}

// suspects reports whether a hint to a node is not to be believed now.
func (r *routeReport) suspects(node uint64, now time.Duration) bool { return now < r.suspected[node] }

// heard records a reply of a node, and reports whether the node was suspected.
func (r *routeReport) heard(node uint64) bool {
	_, suspected := r.suspected[node]
	delete(r.suspected, node)
	return suspected
}
