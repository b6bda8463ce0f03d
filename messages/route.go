package messages

import "slices"

// Server is the group that most likely serves a bucket, 0 if none is known: its owner, but for a bucket that is on its
// way the group that had it, which serves it until the last moment. Whoever of the two is asked wrongly says so.
func (c *Config) ServingGroup(bucket uint32) uint64 {
	if int(bucket) >= len(c.GetOwners()) {
		return 0
	}
	if c.HasPendingMove(bucket) && c.PreviousOwners[bucket] != 0 {
		if _, returning := slices.BinarySearch(c.Reverting, bucket); !returning {
			return c.PreviousOwners[bucket]
		}
	}
	return c.Owners[bucket]
}

// HasPendingMove tells whether the newest move of a bucket is not over.
func (c *Config) HasPendingMove(bucket uint32) bool {
	_, arriving := slices.BinarySearch(c.GetMovesPending(), bucket)
	return arriving
}
