package placement_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/eraft-io/eraft/meta/placement"
)

func TestBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		owners := rapid.SliceOfN(rapid.Uint64Range(0, 6), 1, 64).Draw(t, "owners")
		groups := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 6), 1, 5, rapid.ID[uint64]).Draw(t, "groups")
		next := placement.Balance(owners, groups, placement.Constraints{})
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
		again := placement.Balance(next, groups, placement.Constraints{})
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
	next := placement.Balance([]uint64{1, 1, 1, 1, 1, 1}, []uint64{1, 2}, placement.Constraints{BucketBytes: bytes})
	sum := map[uint64]uint64{}
	for b, g := range next {
		sum[g] += bytes[b]
	}
	require.InDelta(t, sum[1], sum[2], 100, "%v", next)
	next = placement.Balance([]uint64{1, 1, 1, 1, 1, 1}, []uint64{1, 2}, placement.Constraints{MaxMoves: 2})
	require.Equal(t, []uint64{1, 1, 1, 1, 2, 2}, next, "a few at a time")
	next = placement.Balance([]uint64{1, 1, 1, 1, 1, 1}, []uint64{1, 2}, placement.Constraints{Fixed: []uint32{0, 1, 2, 3, 5}})
	require.Equal(t, []uint64{1, 1, 1, 1, 2, 1}, next, "fixed buckets stay")
}

// Exchanges bring the bytes closer, never touch the counts' balance, and come to an end at which no exchange between any
// two groups is worth it.
func TestSwap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.SliceOfN(rapid.Uint64Range(0, 1<<30), 2, 24).Draw(t, "bytes")
		groups := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 6), 1, 4, rapid.ID[uint64]).Draw(t, "groups")
		owners := placement.Balance(make([]uint64, len(bytes)), groups, placement.Constraints{})
		l := placement.Constraints{BucketBytes: bytes}
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
			next := placement.Exchange(owners, groups, l)
			now, low, high := spread(next)
			moved := differ(owners, next)
			if moved == 0 {
				break
			}
			if moved > 2 || high-low > 1 || now >= before || steps > 500 {
				t.Fatalf("step %d moved %d, counts %d to %d, squares %v to %v", steps, moved, low, high, before, now)
			}
			owners, before = next, now
		}
		sum := map[uint64]int64{}
		for b, g := range owners {
			sum[g] += int64(bytes[b])
		}
		for a, high := range owners {
			for b, low := range owners {
				gap := sum[high] - sum[low]
				if gap < 64<<20 || gap < sum[high]/4 {
					continue
				}
				if d := int64(bytes[a]) - int64(bytes[b]); d > 0 && d < gap/8*5-8 && int64(bytes[a]+bytes[b]) < 4*d {
					t.Fatalf("buckets %d and %d would bring %d and %d, which are %d apart, closer", a, b, high, low, gap)
				}
			}
		}
	})
}

func differ(a, b []uint64) (count int) {
	for i := range a {
		if a[i] != b[i] {
			count++
		}
	}
	return count
}

const mib = 1 << 20

func TestSwapTable(t *testing.T) {
	for _, c := range []struct {
		name   string
		owners []uint64
		mib    []uint64
		fixed  []uint32
		want   []uint64
	}{
		{"heavy for light", []uint64{1, 1, 2, 2}, []uint64{100, 100, 1, 1}, nil, []uint64{2, 1, 1, 2}},
		{"less is copied where that does", []uint64{1, 1, 1, 2, 2, 2}, []uint64{900, 300, 220, 700, 100, 100}, nil, []uint64{1, 2, 1, 2, 1, 2}},
		{"one alone where the counts allow it", []uint64{1, 1, 1, 2, 2}, []uint64{100, 100, 100, 100, 20}, nil, []uint64{2, 1, 1, 2, 2}},
		{"less than 64 MiB is nothing", []uint64{1, 1, 2, 2}, []uint64{40, 20, 1, 1}, nil, nil},
		{"less than a quarter is nothing", []uint64{1, 1, 2, 2}, []uint64{500, 500, 400, 390}, nil, nil},
		{"one bucket cannot be halved", []uint64{1, 1, 2, 2}, []uint64{500, 0, 1, 1}, nil, nil},
		{"what is fixed stays", []uint64{1, 1, 2, 2}, []uint64{100, 100, 1, 1}, []uint32{0, 2}, []uint64{1, 2, 2, 1}},
		{
			"behind a group that nothing helps the others even out", []uint64{1, 1, 2, 2, 3, 3}, []uint64{5000, 0, 200, 200, 1, 1}, nil,
			[]uint64{1, 1, 3, 2, 2, 3},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			bytes := make([]uint64, len(c.mib))
			for i, n := range c.mib {
				bytes[i] = n * mib
			}
			l := placement.Constraints{BucketBytes: bytes, Fixed: c.fixed}
			want := c.want
			if want == nil {
				want = c.owners
			}
			got := placement.Exchange(c.owners, []uint64{1, 2, 3}[:slices.Max(c.owners)], l)
			require.Equal(t, want, got)
		})
	}
}

// Sizes are estimates that are never twice the same: what was done for them is not taken back for them.
func TestSwapDoesNotFlap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bytes := rapid.SliceOfN(rapid.Uint64Range(0, 1<<30), 6, 24).Draw(rt, "bytes")
		groups := []uint64{1, 2, 3}
		owners := placement.Balance(make([]uint64, len(bytes)), groups, placement.Constraints{})
		left, seen := map[string]bool{}, make([]uint64, len(bytes))
		for range 60 {
			for b := range bytes {
				seen[b] = bytes[b] / 100 * rapid.Uint64Range(95, 105).Draw(rt, "per cent")
			}
			next := placement.Exchange(owners, groups, placement.Constraints{BucketBytes: seen})
			if differ(owners, next) > 0 {
				left[fmt.Sprint(owners)] = true
			}
			if owners = next; left[fmt.Sprint(owners)] {
				rt.Fatalf("it goes back to %v", owners)
			}
		}
	})
}
