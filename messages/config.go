package messages

import (
	"fmt"
	"slices"
)

// FindNode returns the entry of a node, removed or not; nil if the config has none. It may be called on a nil Config.
func (c *Config) FindNode(id uint64) *Node {
	i := slices.IndexFunc(c.GetNodes(), func(n *Node) bool { return n.Id == id })
	if i < 0 {
		return nil
	}
	return c.Nodes[i]
}

// FindGroup returns the entry of a group, also of one that has left; nil if the config has none. It may be called on a nil Config.
func (c *Config) FindGroup(id uint64) *Group {
	i := slices.IndexFunc(c.GetGroups(), func(g *Group) bool { return g.Id == id })
	if i < 0 {
		return nil
	}
	return c.Groups[i]
}

// Title names a node for people: "node 3 (n3)".
func (n *Node) Title() string { return fmt.Sprintf("node %d (%s)", n.Id, n.Name) }

// SameNodes reports whether two lists hold the same node ids, in any order.
func SameNodes(a, b []uint64) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
