package gateway

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// Topology is what a node knows of its cluster, for the CLUSTER commands.
type Topology struct {
	Config  *messages.Config  // nil: none is known yet
	Self    uint64            // id of this node
	Leaders map[uint64]uint64 // group -> node that leads it, as far as it is known
	Up      map[uint64]bool   // nodes that were heard lately, with this one
}

// member is a node as Redis Cluster clients see it.
type member struct {
	id         uint64
	name, host string
	port       int
	up         bool
}

// slotRange is a range of slots that the same nodes serve, the leader first.
type slotRange struct {
	first, last int
	group       uint64
	members     []member
}

// nodeName is 40 hex digits: the cluster's id, then the node's.
func nodeName(cluster, node uint64) string { return fmt.Sprintf("%016x%024x", cluster, node) }

// members are the nodes that Redis clients can reach. For a listener on all addresses, the host is that of the node's actors.
func (t Topology) members() map[uint64]member {
	all := map[uint64]member{}
	for _, n := range t.Config.GetNodes() {
		host, text, err := net.SplitHostPort(n.Resp)
		port, bad := strconv.Atoi(text)
		if n.Removed || err != nil || bad != nil {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			if host, _, err = net.SplitHostPort(n.Address); err != nil {
				continue
			}
		}
		all[n.Id] = member{n.Id, nodeName(t.Config.ClusterId, n.Id), host, port, t.Up[n.Id]}
	}
	return all
}

// serving are the members with a replica of a group. The first one is where clients should go: the leader; another that is up while
// the leader is unknown or down; or this node if none can be reached, since any node answers for any key.
func (t Topology) serving(group uint64, members map[uint64]member) []member {
	leader := t.Leaders[group]
	var all []member
	for _, g := range t.Config.GetGroups() {
		for _, id := range g.Nodes {
			if m, ok := members[id]; ok && g.Id == group {
				all = append(all, m)
			}
		}
	}
	if m, ok := members[leader]; ok && !slices.Contains(all, m) {
		all = append(all, m)
	}
	rank := func(m member) int {
		switch {
		case !m.up:
			return 2
		case m.id != leader:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all, func(a, b member) int { return rank(a) - rank(b) })
	if self, ok := members[t.Self]; ok && (len(all) == 0 || !all[0].up) {
		all = slices.Insert(all, 0, self)
	}
	return all
}

// slots are all slots that have an owner, ascending; adjacent buckets of one group form one range.
func (t Topology) slots() []slotRange {
	members, buckets := t.members(), len(t.Config.GetOwners())
	groups := map[uint64][]member{}
	var all []slotRange
	for b := range buckets {
		owner := t.Config.ServingGroup(uint32(b))
		if owner == 0 {
			continue
		}
		if groups[owner] == nil {
			groups[owner] = t.serving(owner, members)
		}
		if len(groups[owner]) == 0 {
			continue
		}
		first := (b*messages.Slots + buckets - 1) / buckets
		last := ((b+1)*messages.Slots+buckets-1)/buckets - 1
		if n := len(all); n > 0 && all[n-1].group == owner && all[n-1].last == first-1 {
			all[n-1].last = last
			continue
		}
		all = append(all, slotRange{first, last, owner, groups[owner]})
	}
	return all
}

// ledBuckets says of each bucket whether CLUSTER SLOTS names this node for it.
func (t Topology) ledBuckets() []bool {
	members, here := t.members(), map[uint64]bool{}
	for _, g := range t.Config.GetGroups() {
		nodes := t.serving(g.Id, members)
		here[g.Id] = len(nodes) > 0 && nodes[0].id == t.Self
	}
	led := make([]bool, len(t.Config.GetOwners()))
	for b := range led {
		led[b] = here[t.Config.ServingGroup(uint32(b))]
	}
	return led
}

// nodesText is the reply to CLUSTER NODES. Every node is a master: it leads the slots that it is listed with.
func (t Topology) nodesText() string {
	led := map[uint64][]string{}
	for _, r := range t.slots() {
		text := strconv.Itoa(r.first)
		if r.last > r.first {
			text += "-" + strconv.Itoa(r.last)
		}
		led[r.members[0].id] = append(led[r.members[0].id], text)
	}
	members := t.members()
	var b strings.Builder
	for _, n := range t.Config.GetNodes() {
		m, ok := members[n.Id]
		if !ok {
			continue
		}
		flags, link := "master", "connected"
		if m.id == t.Self {
			flags = "myself,master"
		}
		if !m.up {
			flags, link = flags+",fail?", "disconnected"
		}
		fmt.Fprintf(&b, "%s %s:%d@%d %s - 0 0 %d %s", m.name, m.host, m.port, m.port, flags, t.Config.Version, link)
		for _, slots := range led[n.Id] {
			b.WriteString(" " + slots)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// infoText is the reply to CLUSTER INFO.
func (t Topology) infoText() string {
	assigned, masters, state := 0, map[uint64]bool{}, "ok"
	for _, r := range t.slots() {
		assigned += r.last - r.first + 1
		masters[r.members[0].id] = true
	}
	if assigned < messages.Slots {
		state = "fail"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cluster_enabled:1\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\n", state, assigned, assigned)
	fmt.Fprintf(&b, "cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\n", len(t.members()), len(masters))
	fmt.Fprintf(&b, "cluster_current_epoch:%d\r\ncluster_my_epoch:%d\r\n", t.Config.GetVersion(), t.Config.GetVersion())
	return b.String()
}

// writeSlots lists for each range the nodes that clients may use: the first, and others that are up.
func writeSlots(conn *writer, t Topology) {
	ranges := t.slots()
	conn.WriteArray(len(ranges))
	for _, r := range ranges {
		up := slices.DeleteFunc(slices.Clone(r.members), func(m member) bool { return !m.up && m.id != r.members[0].id })
		conn.WriteArray(2 + len(up))
		conn.WriteInt(r.first)
		conn.WriteInt(r.last)
		for _, m := range up {
			conn.WriteArray(4)
			conn.WriteBulkString(m.host)
			conn.WriteInt(m.port)
			conn.WriteBulkString(m.name)
			conn.WriteMap(0)
		}
	}
}

// writeShards writes one shard per group, with its nodes that are down too.
func writeShards(conn *writer, t Topology) {
	groups := map[uint64][]slotRange{}
	var order []uint64
	for _, r := range t.slots() {
		if groups[r.group] == nil {
			order = append(order, r.group)
		}
		groups[r.group] = append(groups[r.group], r)
	}
	conn.WriteArray(len(order))
	for _, group := range order {
		conn.WriteMap(2)
		conn.WriteBulkString("slots")
		conn.WriteArray(2 * len(groups[group]))
		for _, r := range groups[group] {
			conn.WriteInt(r.first)
			conn.WriteInt(r.last)
		}
		conn.WriteBulkString("nodes")
		members := groups[group][0].members
		conn.WriteArray(len(members))
		for i, m := range members {
			writeShardNode(conn, m, i == 0)
		}
	}
}

func writeShardNode(conn *writer, m member, leads bool) {
	role, health := "replica", "online"
	if leads {
		role = "master"
	}
	if !m.up {
		health = "fail"
	}
	conn.WritePairs(
		pair{"id", m.name}, pair{"port", m.port}, pair{"ip", m.host}, pair{"endpoint", m.host},
		pair{"role", role}, pair{"replication-offset", 0}, pair{"health", health},
	)
}

func writeNodes(conn *writer, t Topology)       { conn.WriteText(t.nodesText()) }
func writeClusterInfo(conn *writer, t Topology) { conn.WriteText(t.infoText()) }
func writeMyID(conn *writer, t Topology)        { conn.WriteBulkString(nodeName(t.Config.ClusterId, t.Self)) }

// topology makes a CLUSTER command. Its reply is a hint for clients that route themselves: any node answers for any key.
func topology(write func(*writer, Topology)) func(*call, *request) string {
	return func(c *call, r *request) string {
		c.render = func(conn *writer, _ []*messages.Reply) {
			var t Topology
			if r.g.options.Topology != nil {
				t = r.g.options.Topology()
			}
			if t.Config == nil {
				conn.WriteError("CLUSTERDOWN this node knows of no cluster yet")
				return
			}
			write(conn, t)
		}
		return ""
	}
}

func keySlot(c *call, r *request) string {
	slot := int64(messages.SlotOf(r.args[2]))
	c.render = func(conn *writer, _ []*messages.Reply) { conn.WriteInt64(slot) }
	return ""
}
