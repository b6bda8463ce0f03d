package cluster

import (
	"maps"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/shardkv"
)

// How big buckets are. Where meta is led, the Member asks all nodes now and then; the Host of each asks its engine about the
// groups that are led there. Nothing of it enters a log, and no replica is in its way.

type (
	measureSizes  struct{ pull *messages.StatusPull }
	sizesMeasured struct {
		pull  *messages.StatusPull
		sizes []*messages.BucketSize
	}
)

// onMeasureSizes asks the engine about the buckets of the groups that are led here.
func (h *Host) onMeasureSizes(m measureSizes) error {
	answer := sizesMeasured{pull: m.pull}
	views := h.n.status.snapshot().views
	for _, group := range slices.Sorted(maps.Keys(views)) {
		if !h.n.status.leads(group) {
			continue
		}
		for _, b := range views[group].Buckets {
			if b.State != shardkv.Serving && b.State != shardkv.Migrating {
				continue
			}
			low, high := shardkv.DataRange(b.Bucket)
			bytes, err := raftactor.Size(h.n.stateEngine, group, low, high)
			if err != nil {
				return err
			}
			answer.sizes = append(answer.sizes, &messages.BucketSize{Group: uint64(group), Bucket: b.Bucket, Bytes: bytes})
		}
	}
	h.n.send(h.n.pids.member, answer)
	return nil
}
