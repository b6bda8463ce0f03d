package cluster

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// statusDocument is the JSON document of /api/v1/status.
type statusDocument struct {
	Node          string            `json:"node"`
	NodeID        uint64            `json:"node_id"`
	ClusterID     string            `json:"cluster_id"`
	ConfigVersion uint64            `json:"config_version"`
	Ready         bool              `json:"ready"`
	Waiting       []string          `json:"waiting_for,omitempty"` // seeds that do not reply
	Trouble       string            `json:"trouble,omitempty"`
	Nodes         []nodeStatus      `json:"nodes"`
	Groups        []groupStatus     `json:"groups"`
	Buckets       bucketStatus      `json:"buckets"`
	Placement     placementDocument `json:"placement"`
	Level         levelStatus       `json:"level"` // feature level
}

type nodeStatus struct {
	ID    uint64 `json:"id"`
	Name  string `json:"name"`
	Addr  string `json:"addr"`
	State string `json:"state"` // up, down, unknown, draining, lost, removed
	RESP  string `json:"resp,omitempty"`
	HTTP  string `json:"http,omitempty"`

	LowSpace bool `json:"low_space,omitempty"` // its free disk space is below the reserve: it accepts only commands that make data smaller

	Labels []string     `json:"labels,omitempty"`
	Drain  *drainStatus `json:"drain,omitempty"`
}

// placementDocument says what placement intends to do.
type placementDocument struct {
	Mode   string          `json:"mode"`   // automatic, paused, once
	Pinned []uint32        `json:"pinned"` // buckets that an operator has moved: placement leaves them where they are
	Known  bool            `json:"known"`  // the leader of group 0, which plans, was heard
	Idle   bool            `json:"idle"`   // placement does nothing unless an operator asks for a rebalance
	Steps  []placementStep `json:"steps"`  // what a rebalance would do from now on
}

type placementStep struct {
	What string `json:"what"`
	From string `json:"from"`
	To   string `json:"to"`
	Why  string `json:"why"`
}

type groupStatus struct {
	ID       uint64   `json:"id"`
	Leader   uint64   `json:"leader"`
	Term     uint64   `json:"term"`
	Commit   uint64   `json:"commit"`
	Applied  uint64   `json:"applied"`
	LogFirst uint64   `json:"log_first"`
	LogLast  uint64   `json:"log_last"`
	Replicas []uint64 `json:"replicas"`
	Stalled  []uint64 `json:"stalled,omitempty"` // nodes whose disk does not respond
	Leased   bool     `json:"leased,omitempty"`  // its leader holds a lease: it answers reads without asking a quorum
	Bytes    *uint64  `json:"bytes,omitempty"`   // approximate size of its buckets on one disk; unset: not known yet
}

type bucketStatus struct {
	Count  int      `json:"count"`
	Owners []uint64 `json:"owners"`
	Moving []uint32 `json:"moving,omitempty"` // buckets whose migration to their owner is not complete
	// Migrations are those in which groups of this node take part.
	Migrations []MigrationStatus `json:"migrations,omitempty"`
}

func (n *node) statusJSON(s snapshot) []byte {
	doc := statusDocument{
		Node: n.config.Name, NodeID: uint64(s.identity.Node), ClusterID: fmt.Sprintf("%016x", s.identity.Cluster),
		ConfigVersion: s.config.GetVersion(), Ready: len(failing(s)) == 0, Waiting: s.silentSeeds, Trouble: s.trouble,
		Nodes: []nodeStatus{}, Groups: []groupStatus{}, Buckets: bucketStatus{Count: len(s.config.GetOwners()), Owners: s.config.GetOwners()},
	}
	for _, node := range s.config.GetNodes() {
		doc.Nodes = append(doc.Nodes, nodeStatus{
			ID: node.Id, Name: node.Name, Addr: node.Address, State: s.state(node), RESP: node.Resp, HTTP: node.Http,
			Labels: node.Labels, Drain: s.drainStatus(node), LowSpace: s.lowSpace(messages.NodeID(node.Id)),
		})
	}
	for _, g := range s.config.GetGroups() {
		doc.Groups = append(doc.Groups, s.groupStatus(g))
	}
	doc.Buckets.Moving, doc.Buckets.Migrations = s.config.GetMovesPending(), s.migrations()
	doc.Placement, doc.Level = s.placementStatus(), n.levelStatus(s)
	body, err := json.Marshal(doc)
	if err != nil {
		return []byte(`{"trouble":"status cannot be encoded"}`)
	}
	return append(body, '\n')
}

func (s snapshot) lowSpace(node messages.NodeID) bool {
	if node == messages.NodeID(s.identity.Node) {
		return s.ownLowSpace
	}
	return s.others[node].GetLowDiskSpace()
}

// state returns the value of nodeStatus.State.
func (s snapshot) state(node *messages.Node) string {
	alive := s.alive(messages.NodeID(node.Id))
	switch {
	case node.Removed:
		return "removed"
	case node.State == messages.NodeState_DRAINING && alive:
		return "draining"
	case node.State == messages.NodeState_LOST:
		return "lost"
	case alive:
		return "up"
	case s.unheard[messages.NodeID(node.Id)]:
		return "unknown"
	}
	return "down"
}

// placementStatus returns the plan that the leader of group 0 reports.
func (s snapshot) placementStatus() placementDocument {
	doc := placementDocument{
		Mode: strings.ToLower(s.config.GetPlacement().String()), Pinned: append([]uint32{}, s.config.GetPinned()...), Steps: []placementStep{},
	}
	plan := s.newestPlan()
	for _, step := range plan.GetSteps() {
		doc.Steps = append(doc.Steps, placementStep{step.What, step.From, step.To, step.Reason})
	}
	doc.Known, doc.Idle = plan != nil, plan.GetIdle()
	return doc
}

func (s snapshot) newestPlan() *messages.PlacementStatus {
	plan := s.plan
	for _, other := range s.others {
		if p := other.Placement; p.GetConfigVersion() > plan.GetConfigVersion() {
			plan = p
		}
	}
	return plan
}

// groupStatus describes a group by this node's replica, or else by one that another node reports. The members are those that the
// group's leader reports.
func (s snapshot) groupStatus(g *messages.Group) groupStatus {
	leader, term := s.leader(messages.GroupID(g.Id))
	doc := groupStatus{ID: g.Id, Leader: leader, Term: term, Replicas: g.Nodes}
	best := s.replicas[messages.GroupID(g.Id)]
	doc.addReplica(s.identity.Node, best)
	for node, other := range s.others {
		for _, r := range other.Replicas {
			if r.Group != g.Id {
				continue
			}
			doc.addReplica(node, r)
			if best == nil {
				best = r
			}
		}
	}
	slices.Sort(doc.Stalled)
	for _, size := range s.newestPlan().GetSizes() {
		if size.Group == g.Id {
			doc.Bytes = &size.Bytes
		}
	}
	if best == nil {
		return doc
	}
	doc.Commit, doc.Applied, doc.LogFirst, doc.LogLast = best.Commit, best.Applied, best.First, best.Last
	if led := s.leaderStatus(messages.GroupID(g.Id)); led != nil {
		best = led
	}
	if len(best.Conf.GetVoters()) > 0 && len(g.Nodes) > 0 {
		doc.Replicas = slices.Concat(best.Conf.Voters, best.Conf.Learners)
	}
	return doc
}

// addReplica adds what only a node's own replica knows.
func (doc *groupStatus) addReplica(node messages.NodeID, r *messages.ReplicaStatus) {
	doc.Leased = doc.Leased || r.GetLeaseValid()
	if r.GetDiskStalled() {
		doc.Stalled = append(doc.Stalled, uint64(node))
	}
}

// failing returns the reasons why this node cannot serve, each beginning with a name; none: it can.
func (n *node) failing() []string { return failing(n.status.snapshot()) }

func failing(s snapshot) []string {
	if s.identity.Cluster == 0 {
		text := "cluster: this node belongs to none yet"
		if len(s.silentSeeds) > 0 {
			text += fmt.Sprintf("; no answer from %v", s.silentSeeds)
		}
		if s.trouble != "" {
			text += "; " + s.trouble
		}
		return []string{text}
	}
	if s.config == nil {
		return []string{"config: none is known yet"}
	}
	var all []string
	if s.trouble != "" {
		all = append(all, "cluster: "+s.trouble)
	}
	if leader, _ := s.leader(messages.Meta); leader == 0 {
		all = append(all, "meta: group 0 has no leader")
	}
	for _, l := range s.lags {
		all = append(all, fmt.Sprintf("replica: that of group %d %s", l.group, l.why))
	}
	orphans := 0
	owning := map[uint64]bool{}
	for _, owner := range s.config.Owners {
		if owner == 0 {
			orphans++
		}
		owning[owner] = true
	}
	if orphans > 0 {
		all = append(all, fmt.Sprintf("buckets: %d have no owner", orphans))
	}
	for _, g := range s.config.Groups {
		if g.Id == uint64(messages.Meta) || !owning[g.Id] {
			continue
		}
		if leader, _ := s.leader(messages.GroupID(g.Id)); leader == 0 {
			all = append(all, fmt.Sprintf("leader: group %d has none", g.Id))
		} else if view := s.views[messages.GroupID(g.Id)]; view != nil && len(view.Buckets) == 0 {
			all = append(all, fmt.Sprintf("buckets: group %d has taken none yet", g.Id))
		}
	}
	return all
}

// Ready reports whether this node can serve: it knows the config, every bucket has an owner with a leader, and its replicas have
// caught up with their leaders, so that another node may be stopped.
func (n *Node) Ready() bool { return len(n.n.failing()) == 0 }

// Failing returns the reasons why the node is not ready, each beginning with a name; none: it is ready.
func (n *Node) Failing() []string { return n.n.failing() }

// Moving returns the buckets whose migration to another group is not complete, as far as this node knows.
func (n *Node) Moving() []uint32 { return n.n.status.snapshot().config.GetMovesPending() }

// Placed reports whether placement is complete as far as this node knows: it has no step left and none in flight, and this node has
// no replica that the config does not place here.
func (n *Node) Placed() bool {
	s := n.n.status.snapshot()
	plan := s.newestPlan()
	return plan != nil && plan.ConfigVersion == s.config.GetVersion() && plan.Idle && len(s.config.GetMovesPending()) == 0 &&
		!slices.ContainsFunc(s.config.GetGroups(), func(g *messages.Group) bool {
			id, self := messages.GroupID(g.Id), uint64(s.identity.Node)
			return len(g.Nodes) > 0 && !s.membershipSettled(id) || s.replicas[id] != nil && !slices.Contains(g.Nodes, self)
		})
}

// Replicas returns the newest status of each replica of this node, by group. The messages are shared and must not be changed.
func (n *Node) Replicas() []*messages.ReplicaStatus {
	all := slices.Collect(maps.Values(n.n.status.snapshot().replicas))
	slices.SortFunc(all, func(a, b *messages.ReplicaStatus) int { return cmp.Compare(a.Group, b.Group) })
	return all
}

// Status returns the JSON document of /api/v1/status.
func (n *Node) Status() []byte { return n.n.statusJSON(n.n.status.snapshot()) }

// Address returns the host:port at which other nodes and Go clients reach this node.
func (n *Node) Address() string { return n.n.address() }

// RESP returns the host:port at which Redis clients reach this node, "" if the node has no such listener.
func (n *Node) RESP() string { return n.n.listeners.respAddress() }

// HTTP returns the host:port of health, metrics and status, "" if the node has no such listener.
func (n *Node) HTTP() string { return n.n.listeners.httpAddress() }
