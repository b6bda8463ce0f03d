package router

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

const (
	// maxBatchBytes bounds one Requests message; a single larger request is sent alone.
	maxBatchBytes = 1 << 20
	// frameBytes is more than the bytes around a request, or around a SessionRequests, in a message.
	frameBytes = 8
)

// requestBatches gathers the requests to each replica. It keeps the order in which replicas and requests were added.
type requestBatches struct {
	byReplica map[replica]*messages.Requests
	order     []replica
}

func newRequestBatches() requestBatches {
	return requestBatches{byReplica: map[replica]*messages.Requests{}}
}

// add adds requests of one Session for a replica.
func (b *requestBatches) add(to replica, requests *messages.SessionRequests) {
	if b.byReplica[to] == nil {
		b.byReplica[to] = &messages.Requests{Group: to.group}
		b.order = append(b.order, to)
	}
	b.byReplica[to].Sessions = append(b.byReplica[to].Sessions, requests)
}

// flush gives all that was added to send, in messages of bounded size, and begins anew.
func (b *requestBatches) flush(send func(to replica, m *messages.Requests)) {
	for _, to := range b.order {
		for _, part := range splitRequests(b.byReplica[to]) {
			send(to, part)
		}
		delete(b.byReplica, to)
	}
	b.order = b.order[:0]
}

// addRequest adds an attempt to the requests of a Session for one replica, of which there is one for each reply budget.
func addRequest(all []*messages.SessionRequests, session *actor.PID, q outgoing) []*messages.SessionRequests {
	at := slices.IndexFunc(all, func(s *messages.SessionRequests) bool { return s.ReplyBudget == uint64(q.replyBudget) })
	if at < 0 {
		at = len(all)
		all = append(all, &messages.SessionRequests{Address: session.Address, Id: session.Id, ReplyBudget: uint64(q.replyBudget)})
	}
	s := all[at]
	switch {
	case q.command && q.retry:
		s.Retries = append(s.Retries, q.encoded)
	case q.command:
		s.Commands = append(s.Commands, q.encoded)
	case q.anyReplica:
		s.ReplicaQueries = append(s.ReplicaQueries, q.encoded)
	default:
		s.Queries = append(s.Queries, q.encoded)
	}
	return all
}

// splitRequests cuts a message above maxBatchBytes into several. All requests are in one of them, in order.
func splitRequests(m *messages.Requests) []*messages.Requests {
	if proto.Size(m) <= maxBatchBytes {
		return []*messages.Requests{m}
	}
	parts, size := []*messages.Requests{{Group: m.Group}}, 0
	for _, whole := range m.Sessions {
		var part *messages.SessionRequests // of the session, in the last message
		fit := func(request []byte) *messages.SessionRequests {
			n := len(request) + frameBytes
			if size > 0 && size+n > maxBatchBytes {
				parts, size, part = append(parts, &messages.Requests{Group: m.Group}), 0, nil
			}
			if part == nil {
				part = &messages.SessionRequests{Address: whole.Address, Id: whole.Id, ReplyBudget: whole.ReplyBudget}
				last := parts[len(parts)-1]
				last.Sessions = append(last.Sessions, part)
				size += proto.Size(part) + frameBytes
			}
			size += n
			return part
		}
		for _, retry := range whole.Retries {
			p := fit(retry)
			p.Retries = append(p.Retries, retry)
		}
		for _, command := range whole.Commands {
			p := fit(command)
			p.Commands = append(p.Commands, command)
		}
		for _, query := range whole.Queries {
			p := fit(query)
			p.Queries = append(p.Queries, query)
		}
		for _, query := range whole.ReplicaQueries {
			p := fit(query)
			p.ReplicaQueries = append(p.ReplicaQueries, query)
		}
	}
	return parts
}
