package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta/placement"
)

func TestSizes(t *testing.T) {
	c := &messages.Config{Owners: []uint64{1, 1, 2}, MovedVersions: []uint64{3, 3, 3}}
	say := func(group uint64, bucket uint32, bytes uint64) []*messages.BucketSize {
		return []*messages.BucketSize{{Group: group, Bucket: bucket, Bytes: bytes}}
	}
	var s placement.Sizes
	require.Nil(t, s.BucketBytes())
	require.Nil(t, s.GroupSizes(c))
	s.Observe(c, []*messages.BucketSize{{Group: 1, Bucket: 0, Bytes: 10}, {Group: 1, Bucket: 1, Bytes: 20}, {Group: 1, Bucket: 2, Bytes: 7}, {Group: 1, Bucket: 9}})
	require.Nil(t, s.BucketBytes(), "the owner of bucket 2 has not reported")
	s.Observe(c, say(2, 2, 5))
	require.Equal(t, []uint64{10, 20, 5}, s.BucketBytes())
	require.EqualExportedValues(t, []*messages.GroupSize{{Group: 1, Bytes: 30}, {Group: 2, Bytes: 5}}, s.GroupSizes(c))
	s.Observe(c, say(1, 1, 4))
	require.Equal(t, []uint64{10, 4, 5}, s.BucketBytes(), "it has become smaller")

	c.Owners[0], c.MovedVersions[0] = 2, 8
	s.Observe(c, say(1, 0, 11))
	require.Equal(t, []uint64{10, 4, 5}, s.BucketBytes(), "it belongs to another group now")
	for range 15 {
		s.Observe(c, say(2, 0, 1))
		require.Equal(t, []uint64{10, 4, 5}, s.BucketBytes(), "what has just arrived may not be in the files yet")
	}
	s.Observe(c, say(2, 0, 1))
	require.Equal(t, []uint64{1, 4, 5}, s.BucketBytes(), "or it is really that small")
	c.Owners[0], c.MovedVersions[0] = 1, 9
	s.Observe(c, say(1, 0, 12))
	s.Observe(c, say(1, 0, 3))
	require.Equal(t, []uint64{3, 4, 5}, s.BucketBytes())
	c = &messages.Config{}
	s.Observe(c, say(1, 0, 12))
	require.Empty(t, s.BucketBytes())
}
