package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// What a node of the largest cluster tells of itself can be sent, and who asks hears where the rest is.
func TestStatusCanBeSent(t *testing.T) {
	b := newStatusBoard(func() time.Duration { return 0 })
	config := &messages.Config{Version: 1 << 40, Owners: make([]uint64, messages.Slots)}
	plan := &messages.PlacementStatus{}
	for range maxPlanSteps {
		long := strings.Repeat("x", messages.MaxTextBytes)
		plan.Steps = append(plan.Steps, &messages.PlanStep{What: long, From: long, To: long, Reason: long})
	}
	for g := range uint64(messages.MaxGroups) {
		config.Groups = append(config.Groups, &messages.Group{Id: g, Nodes: []uint64{1, 2, 3}})
		b.setReplica(&messages.ReplicaStatus{
			Group: g, Role: "leader", Term: 1 << 40, Leader: 1, Commit: 1 << 50, Applied: 1 << 50, First: 1 << 50, Last: 1 << 50,
			Conf: &messages.ConfState{Voters: []uint64{1, 2, 3, 4, 5, 6, 7}}, LogBytes: 1 << 30, PendingBytes: 1 << 30, PendingReads: 1 << 20,
		})
	}
	b.setConfig(config)
	status := &messages.NodeStatus{Node: 1, Placement: plan, Json: (&node{}).statusJSON(b.snapshot())}
	for _, r := range b.snapshot().replicas {
		status.Replicas = append(status.Replicas, r)
	}
	for bucket := range uint32(messages.Slots) {
		status.Sizes = append(status.Sizes, &messages.BucketSize{Group: 1 << 60, Bucket: bucket, Bytes: 1 << 60})
	}
	require.LessOrEqual(t, proto.Size(sendable(status)), messages.MaxMessageBytes)

	status.Json = make([]byte, messages.MaxMessageBytes)
	sent := sendable(status)
	require.LessOrEqual(t, proto.Size(sent), messages.MaxMessageBytes)
	require.Contains(t, string(sent.Json), "ask the node's HTTP listener")
	require.Len(t, sent.Replicas, messages.MaxGroups)

	for range 1000 {
		plan.Steps = append(plan.Steps, plan.Steps[0])
	}
	require.LessOrEqual(t, proto.Size(sendable(status)), messages.MaxMessageBytes)
	require.Len(t, plan.Steps, maxPlanSteps+1000, "the plan is the board's")
}
