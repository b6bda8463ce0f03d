package cluster

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// status is the document of /api/v1/status.
type status struct {
	Node          string        `json:"node"`
	NodeID        uint64        `json:"node_id"`
	ClusterID     string        `json:"cluster_id"`
	ConfigVersion uint64        `json:"config_version"`
	Ready         bool          `json:"ready"`
	Waiting       []string      `json:"waiting_for,omitempty"` // seeds that do not answer
	Trouble       string        `json:"trouble,omitempty"`
	Nodes         []nodeStatus  `json:"nodes"`
	Groups        []groupStatus `json:"groups"`
	Buckets       bucketStatus  `json:"buckets"`
}

type nodeStatus struct {
	ID    uint64 `json:"id"`
	Name  string `json:"name"`
	Addr  string `json:"addr"`
	State string `json:"state"` // up, down, removed
	RESP  string `json:"resp,omitempty"`
	HTTP  string `json:"http,omitempty"`
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
}

type bucketStatus struct {
	Count  int      `json:"count"`
	Owners []uint64 `json:"owners"`
	Moving []uint32 `json:"moving,omitempty"` // that a group of this node has frozen or installs
}

func (n *node) statusJSON(s snapshot) []byte {
	doc := status{
		Node: n.c.Name, NodeID: uint64(s.identity.Node), ClusterID: fmt.Sprintf("%016x", s.identity.Cluster),
		ConfigVersion: s.config.GetVersion(), Ready: len(failing(s)) == 0, Waiting: s.waiting, Trouble: s.trouble,
		Nodes: []nodeStatus{}, Groups: []groupStatus{}, Buckets: bucketStatus{Count: len(s.config.GetOwners()), Owners: s.config.GetOwners()},
	}
	for _, node := range s.config.GetNodes() {
		state := "down"
		switch {
		case node.Removed:
			state = "removed"
		case node.Id == uint64(s.identity.Node) || s.others[messages.NodeID(node.Id)] != nil:
			state = "up"
		}
		doc.Nodes = append(doc.Nodes, nodeStatus{node.Id, node.Name, node.Address, state, node.Resp, node.Http})
	}
	for _, g := range s.config.GetGroups() {
		doc.Groups = append(doc.Groups, s.group(g))
	}
	doc.Buckets.Moving = s.config.GetArriving()
	body, err := json.Marshal(doc)
	if err != nil {
		return []byte(`{"trouble":"status cannot be encoded"}`)
	}
	return append(body, '\n')
}

// group describes a group by this node's replica, or else by the newest that another node told of.
func (s snapshot) group(g *messages.Group) groupStatus {
	leader, term := s.leader(messages.GroupID(g.Id))
	doc := groupStatus{ID: g.Id, Leader: leader, Term: term, Replicas: g.Nodes}
	best := s.replicas[messages.GroupID(g.Id)]
	for _, other := range s.others {
		for _, r := range other.Replicas {
			if best == nil && r.Group == g.Id {
				best = r
			}
		}
	}
	if best != nil {
		doc.Commit, doc.Applied, doc.LogFirst, doc.LogLast = best.Commit, best.Applied, best.First, best.Last
		if len(best.Conf.GetVoters()) > 0 {
			doc.Replicas = slices.Concat(best.Conf.Voters, best.Conf.Learners)
		}
	}
	return doc
}

// failing are the reasons why this node cannot serve, by name; none: it can.
func (n *node) failing() []string { return failing(n.board.snapshot()) }

func failing(s snapshot) []string {
	if s.identity.Cluster == 0 {
		text := "cluster: this node belongs to none yet"
		if len(s.waiting) > 0 {
			text += fmt.Sprintf("; no answer from %v", s.waiting)
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
	if leader, _ := s.leader(messages.Meta); leader == 0 {
		all = append(all, "meta: group 0 has no leader")
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

// Ready tells whether this node can serve: it knows the config, and every bucket has an owner with a leader.
func (n *Node) Ready() bool { return len(n.n.failing()) == 0 }

// Failing says why not, by name.
func (n *Node) Failing() []string { return n.n.failing() }

// Moving are the buckets that are on their way to another group, as far as this node knows.
func (n *Node) Moving() []uint32 { return n.n.board.snapshot().config.GetArriving() }

// Status is the document of /api/v1/status.
func (n *Node) Status() []byte { return n.n.statusJSON(n.n.board.snapshot()) }

// Address is where other nodes and Go clients reach this node.
func (n *Node) Address() string { return n.n.address() }

// RESP is where Redis clients reach this node, "" if nowhere.
func (n *Node) RESP() string { return n.n.edge.respAddress() }

// HTTP is where health, metrics and status are, "" if nowhere.
func (n *Node) HTTP() string { return n.n.edge.httpAddress() }
