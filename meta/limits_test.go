package meta_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/persistence"
)

func check(t *testing.T, r *replica, m *messages.MetaCommand) *messages.Error {
	encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Meta{Meta: m}})
	require.NoError(t, err)
	return meta.Checker(r.m.View(), encoded)
}

// A config that could not be sent is never made: nodes that keep joining, each saying as much of itself as it may, are refused before.
// Nor do fields above their bounds get into the chain, from whatever sender.
func TestConfigsCanBeSent(t *testing.T) {
	huge := func(n uint64) *messages.AddNode {
		a := nodeInfo(n)
		a.Name = fmt.Sprintf("%0*d", messages.MaxNameBytes, n)
		a.Address = fmt.Sprintf("%0*d:1", messages.MaxAddressBytes-2, n)
		a.Resp, a.Http = a.Address, a.Address
		for i := range messages.MaxLabels {
			label := fmt.Sprintf("label%02d=", i)
			a.Labels = append(a.Labels, label+strings.Repeat("x", messages.MaxLabelBytes-len(label)))
		}
		return a
	}
	config := &messages.Config{
		Version: 1, ClusterId: 7, Replicas: 3, Owners: make([]uint64, messages.Slots), PreviousOwners: make([]uint64, messages.Slots),
		MovedVersions: make([]uint64, messages.Slots), Groups: []*messages.Group{{Nodes: []uint64{1}, InitialVoters: []uint64{1}}},
	}
	r := newReplica(t)
	for n := uint64(1); proto.Size(config) < messages.MaxConfigBytes-2*4<<10; n++ {
		a := huge(n)
		config.Nodes = append(config.Nodes, &messages.Node{Id: n, DirectoryToken: a.DirectoryToken, Name: a.Name, Address: a.Address, Resp: a.Resp, Http: a.Http, Labels: a.Labels})
	}
	require.Greater(t, len(config.Nodes), 500)
	body, err := proto.Marshal(config)
	require.NoError(t, err)
	batch := new(persistence.Batch)
	batch.Put(append([]byte{'c'}, 0, 0, 0, 0, 0, 0, 0, 1), body)
	require.NoError(t, r.engine.Write(batch, true))
	r.restart()
	joined, n := 0, uint64(10_000)
	why := check(t, r, add(huge(n)))
	for ; why == nil; why = check(t, r, add(huge(n))) {
		require.Equal(t, messages.Code_OK, r.do(add(huge(n))).Code)
		joined++
		n++
	}
	require.Equal(t, messages.Code_INVALID, why.Code)
	require.Contains(t, why.Text, "the config would be")
	require.Positive(t, joined)
	require.LessOrEqual(t, proto.Size(r.config()), messages.MaxConfigBytes)

	require.Nil(t, check(t, newReplica(t), bootstrap()), "the first config")
	r = twoGroups(t)
	require.Nil(t, check(t, r, &messages.MetaCommand{Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{}}}), "nothing new")
	for name, m := range map[string]*messages.MetaCommand{
		"name":    add(&messages.AddNode{Name: strings.Repeat("x", messages.MaxNameBytes+1), Address: "a:1", DirectoryToken: 99}),
		"address": add(&messages.AddNode{Name: "x", Address: strings.Repeat("x", 3<<20), DirectoryToken: 99}),
		"why":     {Reason: strings.Repeat("x", messages.MaxTextBytes+1), Op: move(1, 1, 1).Op},
		"nodes":   replicas(1, make([]uint64, messages.MaxReplicas+1)...),
		"groups":  {Op: &messages.MetaCommand_Join{Join: &messages.JoinGroups{Groups: make([]*messages.NewGroup, messages.MaxGroups+1)}}},
	} {
		require.NotNil(t, check(t, r, m), name)
	}
}

// A list of versions has room for the newest ones.
func TestConfigLogCanBeSent(t *testing.T) {
	r := newReplica(t)
	r.do(bootstrap())
	n := uint64(2)
	for range 400 { // as long as texts of older versions may have been
		r.do(&messages.MetaCommand{Reason: strings.Repeat("x", 3000), Op: add(nodeInfo(n)).Op})
		n++
	}
	all := r.log(t, 0, 0)
	require.LessOrEqual(t, proto.Size(&messages.MetaReply{Configs: all}), 1<<20)
	require.Equal(t, r.config().Version, all[len(all)-1].Version)
	require.Greater(t, len(all), 100)
	require.Less(t, len(all), 400)
}

func (r *replica) log(t *testing.T, from, to uint64) []*messages.Config {
	q, err := proto.Marshal(&messages.Query{Op: &messages.Query_Meta{Meta: &messages.MetaQuery{Op: &messages.MetaQuery_Log{Log: &messages.ConfigLog{From: from, To: to}}}}})
	require.NoError(t, err)
	reply, err := r.m.Query(r.engine, q)
	require.NoError(t, err)
	return reply.Meta.Configs
}
