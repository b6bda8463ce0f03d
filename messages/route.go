package messages

import "slices"

// Server is the group that most likely serves a bucket, 0 if none is known: its owner, but for a bucket that is on its
// way the group that had it, which serves it until the last moment. Whoever of the two is asked wrongly says so.
func (c *Config) Server(bucket uint32) uint64 {
	if int(bucket) >= len(c.GetOwners()) {
		return 0
	}
	if c.OnItsWay(bucket) && c.Previous[bucket] != 0 {
		if _, returning := slices.BinarySearch(c.Returning, bucket); !returning {
			return c.Previous[bucket]
		}
	}
	return c.Owners[bucket]
}

// OnItsWay tells whether the newest move of a bucket is not over.
func (c *Config) OnItsWay(bucket uint32) bool {
	_, arriving := slices.BinarySearch(c.GetArriving(), bucket)
	return arriving
}
