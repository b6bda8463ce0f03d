package meta_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/meta"
)

func TestBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owners := rapid.SliceOfN(rapid.Uint64Range(0, 6), 1, 64).Draw(t, "owners")
		groups := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 6), 1, 5, rapid.ID[uint64]).Draw(t, "groups")
		next := meta.Balance(owners, groups, meta.Limits{})
		count := map[uint64]int{}
		for _, g := range groups {
			count[g] = 0
		}
		moved := 0
		for b, g := range next {
			if _, ok := count[g]; !ok {
				t.Fatalf("bucket %d went to %d", b, g)
			}
			count[g]++
			if g != owners[b] {
				moved++
			}
		}
		low, high, least := len(owners), 0, 0
		have := map[uint64]int{}
		for _, g := range owners {
			have[g]++
		}
		for g, n := range count {
			low, high = min(low, n), max(high, n)
			least += max(0, n-have[g])
		}
		if high-low > 1 {
			t.Fatalf("unbalanced: %v", count)
		}
		if moved != least {
			t.Fatalf("%d moves where %d would do", moved, least)
		}
		again := meta.Balance(next, groups, meta.Limits{})
		for b := range next {
			if again[b] != next[b] {
				t.Fatalf("a balanced table was changed")
			}
		}
	})
}

// What moves is also what evens out the bytes, as far as the fewest moves can.
func TestBalanceMovesWhatIsHeavy(t *testing.T) {
	bytes := []uint64{10, 500, 20, 30, 480, 40}
	next := meta.Balance([]uint64{1, 1, 1, 1, 1, 1}, []uint64{1, 2}, meta.Limits{Bytes: bytes})
	sum := map[uint64]uint64{}
	for b, g := range next {
		sum[g] += bytes[b]
	}
	require.InDelta(t, sum[1], sum[2], 100, "%v", next)
	next = meta.Balance([]uint64{1, 1, 1, 1, 1, 1}, []uint64{1, 2}, meta.Limits{Most: 2})
	require.Equal(t, []uint64{1, 1, 1, 1, 2, 2}, next, "a few at a time")
	next = meta.Balance([]uint64{1, 1, 1, 1, 1, 1}, []uint64{1, 2}, meta.Limits{Fixed: []uint32{0, 1, 2, 3, 5}})
	require.Equal(t, []uint64{1, 1, 1, 1, 2, 1}, next, "fixed buckets stay")
}

// Exchanges bring the bytes closer, never touch the counts' balance, and come to an end.
func TestSwap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.SliceOfN(rapid.Uint64Range(0, 1<<30), 2, 24).Draw(t, "bytes")
		groups := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 6), 1, 4, rapid.ID[uint64]).Draw(t, "groups")
		owners := meta.Balance(make([]uint64, len(bytes)), groups, meta.Limits{})
		l := meta.Limits{Bytes: bytes}
		spread := func(owners []uint64) (squares float64, low, high int) {
			count, sum := map[uint64]int{}, map[uint64]float64{}
			for b, g := range owners {
				count[g]++
				sum[g] += float64(bytes[b])
			}
			low = len(owners)
			for _, g := range groups {
				low, high = min(low, count[g]), max(high, count[g])
				squares += sum[g] * sum[g]
			}
			return squares, low, high
		}
		before, _, _ := spread(owners)
		for steps := 0; ; steps++ {
			next := meta.Swap(owners, groups, l)
			now, low, high := spread(next)
			moved := 0
			for b := range next {
				if next[b] != owners[b] {
					moved++
				}
			}
			if moved == 0 {
				return
			}
			if moved > 2 || high-low > 1 || now >= before || steps > 500 {
				t.Fatalf("step %d moved %d, counts %d to %d, squares %v to %v", steps, moved, low, high, before, now)
			}
			owners, before = next, now
		}
	})
}
