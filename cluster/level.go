package cluster

import (
	"errors"
	"fmt"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/persistence"
)

// How a cluster comes to a higher feature level, see docs/adr/0035-feature-levels.md. Every node tells which level its program
// has. When all nodes of the config have told of a higher one, each pledges it: from then on no program below it starts on
// that directory. When all have pledged it, the node that leads meta has it committed, and what needs it may enter logs.

// ErrLevel is why a node stops, or does not start, whose program is too old for its cluster.
var ErrLevel = errors.New("start the eraft that ran here before, or a newer one")

func levelTooOld(has, needs messages.Level) error {
	return fmt.Errorf("this eraft has feature level %d, but its cluster needs %d, and never goes back: %w", has, needs, ErrLevel)
}

// pledge is what the Host makes durable.
type pledge struct{ level messages.Level }

// level is the feature level of this node's program.
func (n *node) level() messages.Level { return n.config.Overrides.Level }

// checkDirectory refuses a directory that has pledged a level that this program does not have. It changes nothing.
func (n *node) checkDirectory() error {
	id, _, err := persistence.LoadIdentity(n.logEngine)
	if err == nil && id.Level > n.level() {
		err = levelTooOld(n.level(), id.Level)
	}
	return err
}

// commonLevel returns the level that every node of the config is known to have. own is that of this node's program.
func (s snapshot) commonLevel(config *messages.Config, own messages.Level) messages.Level {
	return meta.CommonLevel(config, func(node uint64) messages.Level { return s.level(node, own) })
}

// level is what a node's program has, as far as it is known: own is that of this node's.
func (s snapshot) level(node uint64, own messages.Level) messages.Level {
	if node == uint64(s.identity.Node) {
		return own
	}
	return max(messages.FirstLevel, messages.Level(s.others[messages.NodeID(node)].GetLevel()))
}

// onPledge makes a pledge durable. Only then is it told.
func (h *Host) onPledge(level messages.Level) error {
	id := h.n.identity()
	if level <= max(id.Level, messages.FirstLevel) {
		return nil
	}
	id.Level = level
	if err := h.n.directory().RaiseLevel(id); err != nil {
		return err
	}
	h.n.setIdentity(id)
	return nil
}

// pledged is what a node is known to have pledged, whether it lives or not.
func (n *node) pledged(node uint64) messages.Level {
	if id := n.identity(); node == uint64(id.Node) {
		return max(messages.FirstLevel, id.Level)
	}
	return n.status.pledged(messages.NodeID(node))
}

// levelStatus is the feature level of the cluster, for people.
type levelStatus struct {
	Cluster uint32   `json:"cluster"`
	Node    uint32   `json:"node"`              // of this node's program
	Waiting []string `json:"waiting,omitempty"` // for whom, if the program has more than the cluster
}

func (n *node) levelStatus(s snapshot) levelStatus {
	doc := levelStatus{Cluster: uint32(s.config.FeatureLevel()), Node: uint32(n.level())}
	for _, node := range s.config.GetNodes() {
		if node.Removed || doc.Cluster >= doc.Node {
			continue
		}
		switch level := s.level(node.Id, n.level()); {
		case !s.alive(messages.NodeID(node.Id)):
			doc.Waiting = append(doc.Waiting, node.Name+" is not heard")
		case level < n.level():
			doc.Waiting = append(doc.Waiting, fmt.Sprintf("%s has %d", node.Name, level))
		}
	}
	return doc
}
