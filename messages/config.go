package messages

import "slices"

// FindNode returns the entry of a node, removed or not; nil if the config has none. It may be called on a nil Config.
func (c *Config) FindNode(id uint64) *Node {
	i := slices.IndexFunc(c.GetNodes(), func(n *Node) bool { return n.Id == id })
	if i < 0 {
		return nil
	}
	return c.Nodes[i]
}

// SameNodes reports whether two lists hold the same node ids, in any order.
func SameNodes(a, b []uint64) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
