package meta

import (
	"maps"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// Sizes remembers how big buckets are, from what the leaders of their groups say now and then. The zero value knows
// nothing. A bucket that moves keeps its size until its new group has it in its files, where engines measure.
type Sizes struct{ buckets []bucketSize }

type bucketSize struct {
	known        bool
	bytes        uint64
	movedVersion uint64 // version of the bucket's newest move then
	lowerReports int    // how often less was said since the next one
}

// maxLowerReports is after how many words the new group of a bucket is believed that it has become smaller.
const maxLowerReports = 15

// Note takes what a group's leader says. Only the group that owns a bucket is believed.
func (s *Sizes) Observe(config *messages.Config, said []*messages.BucketSize) {
	if n := len(config.GetOwners()); len(s.buckets) != n {
		s.buckets = make([]bucketSize, n)
	}
	for _, b := range said {
		if int64(b.Bucket) >= int64(len(s.buckets)) || config.Owners[b.Bucket] != b.Group {
			continue
		}
		was, moved := &s.buckets[b.Bucket], config.MovedVersions[b.Bucket]
		if was.known && was.movedVersion != moved && b.Bytes < was.bytes && was.lowerReports < maxLowerReports {
			was.lowerReports++
			continue
		}
		*was = bucketSize{known: true, bytes: b.Bytes, movedVersion: moved}
	}
}

// Groups sums up how big the buckets are that each group owns, by group: nothing unless all are known.
func (s *Sizes) GroupSizes(config *messages.Config) (all []*messages.GroupSize) {
	bytes := s.BucketBytes()
	if len(bytes) != len(config.GetOwners()) {
		return nil
	}
	sum := map[uint64]uint64{}
	for b, owner := range config.GetOwners() {
		sum[owner] += bytes[b]
	}
	for _, group := range slices.Sorted(maps.Keys(sum)) {
		all = append(all, &messages.GroupSize{Group: group, Bytes: sum[group]})
	}
	return all
}

// Bytes is the size of each bucket, nil unless all are known. It is not shared with later calls.
func (s *Sizes) BucketBytes() (all []uint64) {
	for _, b := range s.buckets {
		if !b.known {
			return nil
		}
		all = append(all, b.bytes)
	}
	return all
}
