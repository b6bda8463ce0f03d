package cluster

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/raftactor"
)

// ErrOlderCopy is why a node stops whose data directory is an older copy of itself: others have heard of a later boot of it.
var ErrOlderCopy = errors.New("this data directory is an older copy of itself: other nodes know of a later boot than this one, and what it " +
	"acknowledged since the copy was made is missing here. Start the node with the newest directory, or with an empty one, and it joins as a new one")

// ErrRemoved is why a node stops that the cluster has removed.
var ErrRemoved = errors.New("the cluster has removed this node: to use it again, start it with an empty data directory, and it joins as a new one")

// placement is what a Member remembers of placing while it is at meta's leader.
type placement struct {
	busy           bool          // a step is on its way into the log
	ledSince       time.Duration // when this node was first seen to lead meta; 0: it does not
	bootstrapTicks uint64        // beats since then in which there was no config yet

	sizes       meta.Sizes
	nextMeasure time.Duration // when to ask for sizes again
}

// maxPlanSteps is how many steps of placement are told to people.
const maxPlanSteps = 200

// place proposes the next step of meta.Plan, one at a time, where meta is led.
func (m *Member) drivePlacement() {
	if !m.n.status.leads(messages.Meta) {
		m.placement.ledSince, m.placement.sizes, m.placement.nextMeasure = 0, meta.Sizes{}, 0
		return
	}
	if m.placement.ledSince == 0 {
		m.placement.ledSince = m.n.system.Clock.Now()
	}
	m.measureSizes()
	if m.placement.busy {
		return
	}
	if m.config == nil {
		// Only the node that wrote the birth record can lead meta before there is a config.
		m.proposeBootstrap()
		return
	}
	if raise := m.levelCommand(); raise != nil {
		m.propose(raise)
	} else if plan := meta.Plan(m.config, m.clusterState()); len(plan) > 0 {
		m.propose(plan[0])
	}
}

// seen is what this node can tell placement about the others.
func (m *Member) clusterState() meta.ClusterState {
	s := m.n.status.snapshot()
	return meta.ClusterState{
		Alive: func(id uint64) bool { return s.alive(messages.NodeID(id)) },
		Full:  func(id uint64) bool { return s.lowSpace(messages.NodeID(id)) },
		Lost: func(id uint64) bool {
			return m.n.status.silentFor(messages.NodeID(id), m.placement.ledSince) > m.n.config.ReplaceAfter
		},
		Settled:     func(id uint64) bool { return s.membershipSettled(messages.GroupID(id)) },
		BucketBytes: m.placement.sizes.BucketBytes(), UnevenBytes: m.n.config.UnevenBytes,
	}
}

// foresee tells people what placement would do, where meta is led.
func (m *Member) publishPlan() {
	if m.config == nil || !m.n.status.leads(messages.Meta) {
		m.n.status.setPlan(nil)
		return
	}
	seen := m.clusterState()
	m.n.status.setPlan(&messages.PlacementStatus{
		ConfigVersion: m.config.Version, Steps: meta.Simulate(m.config, seen, maxPlanSteps),
		Idle:  len(meta.Plan(m.config, seen)) == 0 && !m.n.status.snapshot().changesPending(m.config) && m.commonLevel() == m.config.FeatureLevel(),
		Sizes: m.placement.sizes.GroupSizes(m.config),
	})
}

// retire ends the replicas of this node that are members no more: their groups' leaders say so, or the groups are over.
func (m *Member) destroyRemovedReplicas() {
	s, self := m.n.status.snapshot(), uint64(m.n.identity().Node)
	for _, g := range m.config.GetGroups() {
		id := messages.GroupID(g.Id)
		if s.replicas[id] == nil || slices.Contains(g.Nodes, self) {
			continue
		}
		if len(g.Nodes) == 0 {
			m.n.send(m.n.peer(id), raftactor.DestroyReplica{Index: raftactor.GroupDeleted})
		} else if without, _ := s.removalDurable(id, self); without {
			m.n.send(m.n.peer(id), raftactor.DestroyReplica{Index: s.leaderStatus(id).Applied})
		}
	}
}

// bear proposes the Birth to this node's own replica of meta: there is no config yet that a session could follow.
// Once is enough for the chain; it is said again until the config is there.
func (m *Member) proposeBootstrap() {
	encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Meta{Meta: &messages.MetaCommand{
		Op: &messages.MetaCommand_Bootstrap{Bootstrap: m.n.bootstrapRecord()},
	}}})
	if m.placement.bootstrapTicks++; err == nil && m.placement.bootstrapTicks%5 == 1 {
		m.n.send(m.n.peer(messages.Meta), &messages.Requests{Sessions: []*messages.SessionRequests{{Commands: [][]byte{encoded}}}})
	}
}

func (m *Member) propose(command *messages.MetaCommand) {
	m.placement.busy = true
	m.wake()
	m.n.request(command, func(r *messages.Reply) { m.n.send(m.self, placementAnswered{r}) })
}

func (m *Member) onPlacementAnswered(p placementAnswered) {
	m.placement.busy = false
	if config := p.reply.GetMeta().GetConfig(); p.reply.GetCode() == messages.Code_OK {
		m.adopt(config, true)
	}
}

// checkMeta refuses, where meta is led and before the log, what meta.Check cannot know to be wrong: it depends on who
// lives. It is called on the Peer's goroutine.
func (n *node) checkMeta(view any, command []byte) *messages.Error {
	if why := n.checkLevel(command); why != nil {
		return why
	}
	if why := meta.Checker(view, command); why != nil {
		return why
	}
	c := new(messages.Command)
	now, known := view.(*meta.View)
	if !known || now.Answered(command) || proto.Unmarshal(command, c) != nil {
		return nil
	}
	config := now.Config
	switch op := c.GetMeta().GetOp().(type) {
	case *messages.MetaCommand_RaiseLevel:
		return n.checkRaise(config, messages.Level(op.RaiseLevel.Level))
	case *messages.MetaCommand_RemoveNode:
		return n.checkRemoval(config, findNode(config, messages.NodeID(op.RemoveNode.Node)))
	case *messages.MetaCommand_AddNode:
		if why := n.checkAddress(config, op.AddNode); why != nil {
			return why
		}
		return n.checkReplacement(config, op.AddNode)
	}
	return nil
}

// checkRemoval refuses to forget a node that is alive, or one whose disk a group may need.
func (n *node) checkRemoval(config *messages.Config, gone *messages.Node) *messages.Error {
	if n.status.maybeAlive(messages.NodeID(gone.Id)) {
		return messages.Errorf(messages.Code_CONFLICT, "node %d (%s) is alive, or was so a moment ago: drain it, stop it, and ask again", gone.Id, gone.Name)
	}
	if why := n.status.snapshot().blockedWithout(config, gone.Id); why != "" {
		return messages.Errorf(messages.Code_CONFLICT, "%s and may need what node %d (%s) has: bring nodes back first", why, gone.Id, gone.Name)
	}
	return nil
}

// checkAddress refuses an earlier life of a node, and one at the address of another one that lives there. One that the config only says to be there, is not.
func (n *node) checkAddress(config *messages.Config, newcomer *messages.AddNode) *messages.Error {
	for _, known := range config.Nodes {
		if known.DirectoryToken == newcomer.DirectoryToken && known.Epoch > newcomer.Epoch {
			return messages.Errorf(messages.Code_CONFLICT, "node %d (%s) has begun another life since, at %s", known.Id, known.Name, known.Address)
		}
	}
	for _, other := range config.Nodes {
		id := messages.NodeID(other.Id)
		if !other.Removed && other.DirectoryToken != newcomer.DirectoryToken && n.status.address(id) == newcomer.Address && n.status.silentFor(id, 0) < aliveTimeout {
			return messages.Errorf(messages.Code_CONFLICT, "address %s is that of node %d (%s), which is alive: choose another one", newcomer.Address, other.Id, other.Name)
		}
	}
	return nil
}

// checkReplacement refuses to let a newcomer take the place of the node that had its name when that node could not be removed: a
// directory that is not there today, such as a volume that is not mounted, may be the one that a group needs.
func (n *node) checkReplacement(config *messages.Config, newcomer *messages.AddNode) *messages.Error {
	old := meta.NodeByName(config, newcomer.Name)
	if old == nil || old.DirectoryToken == newcomer.DirectoryToken {
		return nil
	}
	if n.status.maybeAlive(messages.NodeID(old.Id)) {
		return messages.Errorf(messages.Code_CONFLICT, "name %q is taken by node %d at %s, which is alive: choose another name", old.Name, old.Id, old.Address)
	}
	if why := n.status.snapshot().blockedWithout(config, old.Id); why != "" {
		return messages.Errorf(messages.Code_CONFLICT, "%s and may need the data directory of node %d (%s), which this empty one would replace for good: "+
			"start %s with that directory (is its volume mounted?), or bring other nodes back first", why, old.Id, old.Name, old.Name)
	}
	return nil
}

// needs tells which group could not go on for certain without a node whose id never comes back: one that has no leader, or
// whose voters are not in their majority alive without it. Empty: all groups could.
func (s snapshot) blockedWithout(config *messages.Config, gone uint64) string {
	lives := func(id uint64) bool {
		return id != gone && s.alive(messages.NodeID(id)) && !findNode(config, messages.NodeID(id)).GetRemoved()
	}
	for _, g := range config.Groups {
		if len(g.Nodes) == 0 {
			continue
		}
		led := s.leaderStatus(messages.GroupID(g.Id))
		if led == nil {
			return fmt.Sprintf("group %d has no leader now", g.Id)
		}
		for _, voters := range [][]uint64{led.Conf.GetVoters(), led.Conf.GetOutgoing()} {
			living := slices.DeleteFunc(slices.Clone(voters), func(id uint64) bool { return !lives(id) })
			if len(voters) > 0 && 2*len(living) <= len(voters) {
				return fmt.Sprintf("group %d has only %v of its voters %v alive without it", g.Id, living, voters)
			}
		}
	}
	return ""
}

func findNode(config *messages.Config, id messages.NodeID) *messages.Node {
	i := slices.IndexFunc(config.GetNodes(), func(n *messages.Node) bool { return n.Id == uint64(id) })
	if i < 0 {
		return nil
	}
	return config.Nodes[i]
}
