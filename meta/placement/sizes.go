package placement

import (
	"maps"
	"slices"

	"github.com/eraft-io/eraft/messages"
)

// Sizes estimates the size of each bucket from what the leaders of groups report now and then. The zero value knows nothing.
// After a move a bucket keeps its size until the new group has it in its files, which is all that an engine can measure.
type Sizes struct {
	buckets []bucketSize // by bucket
}

type bucketSize struct {
	known        bool
	bytes        uint64
	movedVersion uint64 // version of the bucket's newest move when the size was reported
	lowerReports int    // reports of less since a newer move; they are not believed yet
}

// maxLowerReports is how many reports of a smaller size are not believed after a move.
const maxLowerReports = 15

// Observe takes reports of group leaders. A report about a bucket that its group does not own is ignored.
func (s *Sizes) Observe(config *messages.Config, reports []*messages.BucketSize) {
	if n := len(config.GetOwners()); len(s.buckets) != n {
		s.buckets = make([]bucketSize, n)
	}
	for _, b := range reports {
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

// GroupSizes is the bytes of the buckets that each group owns, by group; nil unless the sizes of all buckets are known.
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

// BucketBytes is the size of each bucket; nil unless all are known. The slice belongs to the caller.
func (s *Sizes) BucketBytes() (all []uint64) {
	for _, b := range s.buckets {
		if !b.known {
			return nil
		}
		all = append(all, b.bytes)
	}
	return all
}
