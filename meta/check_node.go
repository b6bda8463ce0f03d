package meta

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta/placement"
)

// maxNodeInfoBytes bounds what a node says of itself, which the config keeps. Any process may ask to be admitted.
const maxNodeInfoBytes = 16 << 10

func checkAddNode(config *messages.Config, a *messages.AddNode) *messages.Error {
	if a.GetName() == "" || a.GetAddress() == "" || a.GetDirectoryToken() == 0 {
		return invalid("a node needs a name, an address and a token")
	}
	if size := proto.Size(a); size > maxNodeInfoBytes {
		return invalid("what the node says of itself is %d bytes long, but %d is the most: the config keeps it", size, maxNodeInfoBytes)
	}
	if at := strings.LastIndexByte(a.Address, ':'); at <= 0 || at == len(a.Address)-1 || strings.ContainsAny(a.Address, "/ ") {
		return invalid("%q is not an address of the form host:port at which others reach the node", a.Address)
	}
	if err := placement.CheckLabels(a.Labels); err != nil {
		return invalid("%v", err)
	}
	if why := checkNodeLevel(config, a); why != nil {
		return why
	}
	for _, n := range config.Nodes {
		if n.DirectoryToken == a.DirectoryToken && n.Removed {
			return messages.Errorf(messages.Code_CONFLICT, "%s was removed: start it with an empty data directory to join as a new node", n.Title())
		}
		if n.DirectoryToken == a.DirectoryToken || n.Removed {
			continue
		}
		elsewhere := config.FeatureLevel() >= deltaLevel // by now, since somebody else is there
		if nodeByToken(config, a.DirectoryToken) != nil && (n.Name == a.Name || n.Address == a.Address && !elsewhere) {
			return messages.Errorf(messages.Code_CONFLICT, "%s at %s has that name or address: choose another, or remove that node first", n.Title(), n.Address)
		}
		if n.Name == a.Name {
			if n.Id != a.Replaces {
				return messages.Errorf(messages.Code_CONFLICT, "name %q belongs to %s at %s since a moment ago: ask again to take its place, or choose another name",
					n.Name, n.Title(), n.Address)
			}
			if why := checkLoss(config, n); why != nil {
				return why
			}
			continue
		}
		if n.Address == a.Address && !elsewhere {
			return messages.Errorf(messages.Code_CONFLICT, "address %s belongs to %s: remove that node first", a.Address, n.Title())
		}
	}
	return checkZone(config, a)
}

// checkZone refuses a node that names no zone if all others do: replicas could not be spread over zones with it.
func checkZone(config *messages.Config, a *messages.AddNode) *messages.Error {
	others := false
	for _, n := range config.Nodes {
		if n.Removed || n.DirectoryToken == a.DirectoryToken || n.Name == a.Name {
			continue
		}
		if placement.Zone(n.Labels) == "" {
			return nil
		}
		others = true
	}
	if others && placement.Zone(a.Labels) == "" {
		return invalid("all other nodes say in which zone they are, and replicas are spread over zones: start it with --labels zone=…")
	}
	return nil
}

func checkSetNode(config *messages.Config, s *messages.SetNode, byPlacement bool) *messages.Error {
	n := config.FindNode(s.GetNode())
	if n == nil || n.Removed {
		return noSuchNode(config, s.GetNode())
	}
	switch {
	case s.State == messages.NodeState_LOST && !byPlacement:
		return invalid("a node is lost when it is silent, not by command: drain or remove it")
	case s.State == messages.NodeState_DRAINING && n.State != s.State && lastAccepting(config, n):
		return messages.Errorf(messages.Code_CONFLICT, "%s is the last one that can have data: let another node join first", n.Title())
	case s.State > messages.NodeState_LOST:
		return invalid("unknown node state %d", s.State)
	}
	return nil
}

// lastAccepting reports whether no other node may get replicas.
func lastAccepting(config *messages.Config, n *messages.Node) bool {
	return !slices.ContainsFunc(config.Nodes, func(other *messages.Node) bool { return other != n && placement.AcceptsReplicas(other) })
}

func noSuchNode(config *messages.Config, id uint64) *messages.Error {
	var there []uint64
	for _, n := range config.Nodes {
		if !n.Removed {
			there = append(there, n.Id)
		}
	}
	return invalid("node %d does not exist: the nodes are %v", id, there)
}

func checkRemoveNode(config *messages.Config, id uint64) *messages.Error {
	n := config.FindNode(id)
	if n == nil {
		return noSuchNode(config, id)
	}
	if n.Removed {
		return nil
	}
	if lastAccepting(config, n) {
		return messages.Errorf(messages.Code_CONFLICT, "%s is the last one that can have data: let another node join, or undrain one", n.Title())
	}
	return checkLoss(config, n)
}

// checkLoss refuses to remove a node that has the only replica of a group.
func checkLoss(config *messages.Config, n *messages.Node) *messages.Error {
	for _, g := range groupsOn(config, n.Id) {
		if !slices.ContainsFunc(g.Nodes, func(other uint64) bool { return other != n.Id && !config.FindNode(other).Removed }) {
			return messages.Errorf(messages.Code_CONFLICT, "%s is the only one with group %d, whose data would be lost: bring it back", n.Title(), g.Id)
		}
	}
	return nil
}
