package gateway

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/redcon"

	"github.com/eraft-io/eraft/messages"
)

func threeMembers(buckets int) Topology {
	t := Topology{
		Config: &messages.Config{
			Version: 7, ClusterId: 0xabc,
			Nodes: []*messages.Node{
				{Id: 1, Address: "10.0.0.1:7400", Resp: "10.0.0.1:6379"},
				{Id: 2, Address: "10.0.0.2:7400", Resp: "[::]:6379"},
				{Id: 3, Address: "10.0.0.3:7400"}, // no RESP listener
				{Id: 4, Address: "10.0.0.4:7400", Resp: "10.0.0.4:6379", Removed: true},
			},
			Groups: []*messages.Group{{Id: 0, Nodes: []uint64{1}}, {Id: 1, Nodes: []uint64{1, 2, 3}}, {Id: 2, Nodes: []uint64{3, 1, 2}}, {Id: 3, Nodes: []uint64{3}}},
		},
		Self: 1, Leaders: map[uint64]uint64{1: 2}, Up: map[uint64]bool{1: true},
	}
	for b := range buckets {
		t.Config.Owners = append(t.Config.Owners, uint64(b*3/buckets+1))
	}
	return t
}

func TestSlotsCoverEverySlotOnce(t *testing.T) {
	for _, buckets := range []int{3, 7, 256, 1000, messages.Slots} {
		top := threeMembers(buckets)
		next := 0
		for _, r := range top.slots() {
			require.Equal(t, next, r.first)
			for _, slot := range []int{r.first, r.last} {
				require.Equal(t, r.group, top.Config.Owners[slot*buckets/messages.Slots], "slot %d of %d buckets", slot, buckets)
			}
			next = r.last + 1
		}
		require.Equal(t, messages.Slots, next)
		require.Len(t, top.slots(), 3, "neighbours are one range")
	}
}

func TestWhoServes(t *testing.T) {
	top := threeMembers(3)
	var hosts []string
	for _, r := range top.slots() {
		line := ""
		for _, m := range r.members {
			line += m.host + " "
		}
		hosts = append(hosts, line)
	}
	require.Equal(t, []string{"10.0.0.1 10.0.0.2 ", "10.0.0.1 10.0.0.2 ", "10.0.0.1 "}, hosts,
		"the leader first, unless it is down; who has no RESP is left out; where nobody is left, this node answers")
	var slots, shards bytes.Buffer
	for text, write := range map[*bytes.Buffer]func(*writer, Topology){&slots: writeSlots, &shards: writeShards} {
		w := &writer{Writer: redcon.NewWriter(text)}
		write(w, top)
		require.NoError(t, w.Flush())
	}
	require.NotContains(t, slots.String(), "10.0.0.2", "clients are not sent to a node that is down")
	require.Contains(t, shards.String(), "10.0.0.2", "but they may know of it")
	require.Contains(t, shards.String(), "$4\r\nfail\r\n")
	top.Up[2] = true
	require.Equal(t, "10.0.0.2", top.slots()[0].members[0].host, "the leader is back")
	top.Up = map[uint64]bool{}
	require.Equal(t, top.Self, top.slots()[1].members[0].id, "whoever is down, this node answers")
	top.Up = map[uint64]bool{1: true}
	require.Equal(t, []bool{true, true, true}, top.ledBuckets())
	top.Self = 2
	require.Equal(t, []bool{false, false, true}, top.ledBuckets(), "who stands alone for a group answers for it")
	top.Self = 1
	lines := strings.Split(strings.TrimSpace(top.nodesText()), "\n")
	require.Equal(t, []string{
		"0000000000000abc000000000000000000000001 10.0.0.1:6379@6379 myself,master - 0 0 7 connected 0-5461 5462-10922 10923-16383",
		"0000000000000abc000000000000000000000002 10.0.0.2:6379@6379 master,fail? - 0 0 7 disconnected",
	}, lines)
	require.Contains(t, top.infoText(), "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n")
	top.Config.Owners[1] = 0
	require.Contains(t, top.infoText(), "cluster_state:fail")
	require.Empty(t, Topology{}.slots())
}
