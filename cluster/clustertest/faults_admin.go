package clustertest

import (
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/router"
)

// adminRequest sends a request to group 0, as an operator does.
func (w *Swarm) adminRequest(op proto.Message, done func(*messages.Reply)) {
	if w.s.admin == nil {
		w.s.admin = w.s.Client("admin")
	}
	w.openAdminRequests++
	w.s.admin.Ask(op, router.DefaultTimeout, func(r *messages.Reply) {
		w.openAdminRequests--
		done(r)
	})
}

// moveBuckets moves a few buckets to another group while clients use them.
func (w *Swarm) moveBuckets() {
	first := uint32(w.rng.IntN(w.s.o.Buckets))
	last := min(first+uint32(w.rng.IntN(3)), uint32(w.s.o.Buckets)-1)
	w.moveRange(first, last, uint64(1+w.rng.IntN(w.s.groupCount())), func(*messages.Reply) {})
}

// revertMove moves a bucket, and moves it back to its group within a time, in whichever state the migration is.
func (w *Swarm) revertMove(within time.Duration) {
	rng, b := w.rng, uint32(w.rng.IntN(w.s.o.Buckets))
	w.moveRange(b, b, uint64(1+w.rng.IntN(w.s.groupCount())), func(r *messages.Reply) {
		c := r.GetMeta().GetConfig()
		if r.Code != messages.Code_OK || !c.HasPendingMove(b) || c.PreviousOwners[b] == 0 {
			return
		}
		w.s.At(w.s.Now()+time.Duration(rng.Int64N(int64(within))), func() {
			w.moveRange(b, b, c.PreviousOwners[b], func(r *messages.Reply) { w.Counts[fmt.Sprintf("revert %v", r.Code)]++ })
		})
	})
}

// disturbMigration moves buckets while messages between groups come late, or while most replies to clients are lost, so that clients
// retry with the next owner of the bucket.
func (w *Swarm) disturbMigration() {
	nodes := w.s.seeds()
	lost := actortest.Faults{Drop: 0.3 + 0.5*w.rng.Float64()}
	late := actortest.Faults{Late: 0.3 + 0.5*w.rng.Float64(), Echo: 2 * time.Second}
	if w.rng.IntN(2) == 0 {
		w.moveBuckets()
		w.s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
			if _, answers := e.Message.(*messages.Replies); answers && !slices.Contains(nodes, e.To) {
				return lost
			}
			return actortest.Faults{}
		})
	} else {
		w.revertMove(1500 * time.Millisecond)
		w.s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
			if _, order := e.Message.(*messages.Requests); order && slices.Contains(nodes, e.From) {
				return late
			}
			return actortest.Faults{}
		})
	}
	w.endWithin(3*time.Second, func() { w.s.Network().SetMessageFaults(nil) })
}

func (w *Swarm) moveRange(first, last uint32, group uint64, done func(*messages.Reply)) {
	w.adminRequest(&messages.MetaCommand{Op: &messages.MetaCommand_Move{Move: &messages.MoveBuckets{First: first, Last: last, Group: group}}}, func(r *messages.Reply) {
		w.Counts[fmt.Sprintf("move %v", r.Code)]++
		done(r)
	})
}

// transfer tells the leader of a group to transfer leadership, to a replica of its choice or to a given node.
func (w *Swarm) transfer() {
	group := messages.GroupID(w.rng.IntN(w.s.groupCount() + 1))
	to := messages.NodeID(w.rng.IntN(len(w.s.Nodes) + 1))
	if m := w.s.Oracle.lastElected[group]; m != nil && m.Node != nil {
		w.sendPeer(m, group, raftactor.TransferLeadership{To: to})
	}
}

// sendPeer sends a message to a replica, as its node does.
func (w *Swarm) sendPeer(m *SimNode, group messages.GroupID, message any) {
	m.machine.System().Root.Send(actor.NewPID(m.machine.Address(), raftactor.PeerPath(group)), message)
}

// changeReplicas changes which nodes have a replica of a group. Placement repairs that.
func (w *Swarm) changeReplicas() {
	if w.wiped {
		return
	}
	w.underReplicated = true
	config := w.s.Oracle.config
	group := config.GetGroups()[w.rng.IntN(len(config.GetGroups()))]
	nodes := w.s.nodeIDs()
	w.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	command := &messages.SetReplicas{Group: group.Id, Nodes: nodes[:1+w.rng.IntN(len(nodes))]}
	w.adminRequest(&messages.MetaCommand{Op: &messages.MetaCommand_SetReplicas{SetReplicas: command}}, func(r *messages.Reply) {
		w.Counts[fmt.Sprintf("replicas %v", r.Code)]++
	})
}

// nodeIDs returns the ids of all nodes of the cluster.
func (s *Simulation) nodeIDs() []uint64 {
	var all []uint64
	for _, n := range s.Oracle.config.GetNodes() {
		if !n.Removed {
			all = append(all, n.Id)
		}
	}
	return all
}

// groupCount returns the number of shard groups, approximately if they follow the nodes.
func (s *Simulation) groupCount() int {
	if s.o.Groups < 0 {
		return len(s.Nodes)
	}
	return s.o.Groups
}

// maxJoins bounds the nodes that join during a run.
const maxJoins = 2

func (w *Swarm) joinNode() {
	if w.joined < maxJoins {
		w.joined++
		w.Counts["joined"]++
		w.s.Join(w.anyNode())
	}
}

// drainNode drains a node, and undrains it later.
func (w *Swarm) drainNode() {
	nodes := w.s.nodeIDs()
	if w.wiped || len(nodes) == 0 {
		return
	}
	w.underReplicated = true
	node := nodes[w.rng.IntN(len(nodes))]
	set := func(what string, state messages.NodeState) {
		w.adminRequest(&messages.MetaCommand{Op: &messages.MetaCommand_SetNode{SetNode: &messages.SetNode{Node: node, State: state}}}, func(r *messages.Reply) {
			w.Counts[fmt.Sprintf("%s %v", what, r.Code)]++
		})
	}
	set("drain", messages.NodeState_DRAINING)
	w.endWithin(15*time.Second, func() { set("undrain", messages.NodeState_ACTIVE) })
}

// queryConfig asks group 0 for a config, or for the chain: the reply must agree with the chain.
func (w *Swarm) queryConfig() {
	version := uint64(0)
	if newest := w.s.Oracle.config.GetVersion(); newest > 0 {
		version = w.rng.Uint64N(newest + 1)
	}
	q := &messages.MetaQuery{Op: &messages.MetaQuery_Show{Show: version}}
	if w.rng.IntN(4) == 0 {
		q.Op = &messages.MetaQuery_Log{Log: &messages.ConfigLog{From: version}}
	}
	w.adminRequest(q, func(r *messages.Reply) {
		w.Counts[fmt.Sprintf("config answer %v", r.Code)]++
		for _, config := range append(r.GetMeta().GetConfigs(), r.GetMeta().GetConfig()) {
			if config != nil {
				w.s.Oracle.checkConfigChain(config)
			}
		}
	})
}
