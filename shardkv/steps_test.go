package shardkv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/shardkv"
)

// A giver that never answers does not keep buckets of other givers away, and each gives only a few at once.
func TestPullsAreBoundedPerGiver(t *testing.T) {
	config := &messages.Config{Version: 2, Owners: make([]uint64, buckets), Previous: make([]uint64, buckets), Moved: make([]uint64, buckets)}
	for b := range config.Owners {
		config.Owners[b], config.Previous[b], config.Moved[b] = 1, 2, 2
		if b >= buckets/2 {
			config.Previous[b] = 3
		}
	}
	for b := range uint32(buckets) {
		config.Arriving = append(config.Arriving, b)
	}
	from := map[uint64]int{}
	for _, ask := range shardkv.Follow(1, config, &shardkv.View{}, nil, shardkv.Pace{}).Asks {
		from[ask.Group]++
	}
	require.Equal(t, map[uint64]int{2: 4, 3: 4}, from)
}
