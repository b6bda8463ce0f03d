package placement

import (
	"cmp"
	"slices"
)

// Constraints are what Balance and Exchange must respect. The zero value is no constraint.
type Constraints struct {
	Fixed       []uint32 // buckets that stay where they are, ascending
	Full        []uint64 // groups that receive no bucket
	BucketBytes []uint64 // size of each bucket; nil: all are equal
	MaxMoves    int      // 0: as many as it takes
	UnevenBytes uint64   // Exchange only: bytes by which two groups may differ; 0: 64 MiB
}

// Balance evens out how many buckets each group owns, with the fewest moves, and returns the new owners. Afterwards no group
// has two buckets more than another. A bucket whose owner is not among the groups is moved first; a balanced table is not changed.
// Of a group's buckets it moves those that also even out the bytes. Fixed buckets stay and full groups receive none, even if
// that leaves the table uneven. It is deterministic and does not change its arguments.
func Balance(owners, groups []uint64, c Constraints) []uint64 {
	t := newTable(owners, groups, c)
	if len(t.receivers) == 0 {
		return t.owners
	}
	for b, owner := range t.owners {
		if !slices.Contains(t.groups, owner) && !t.fixed(b) && t.mayMove() {
			t.move(b, t.smallest())
		}
	}
	for t.mayMove() && t.evenOnce() {
	}
	return t.owners
}

// table is a distribution of buckets while it is changed.
type table struct {
	owners      []uint64 // by bucket
	groups      []uint64 // that may own buckets, ascending
	receivers   []uint64 // groups that are not full, ascending
	constraints Constraints
	count       map[uint64]int    // buckets of each group
	bytes       map[uint64]uint64 // bytes of each group; 0 if sizes are not known
	moves       int               // so far
}

func newTable(owners, groups []uint64, c Constraints) *table {
	t := &table{
		owners: slices.Clone(owners), groups: slices.Sorted(slices.Values(groups)), constraints: c,
		count: map[uint64]int{}, bytes: map[uint64]uint64{},
	}
	t.receivers = slices.DeleteFunc(slices.Clone(t.groups), func(g uint64) bool { return slices.Contains(c.Full, g) })
	for b, owner := range owners {
		t.count[owner]++
		t.bytes[owner] += t.size(b)
	}
	return t
}

func (t *table) size(b int) uint64 {
	if len(t.constraints.BucketBytes) != len(t.owners) {
		return 0
	}
	return t.constraints.BucketBytes[b]
}

func (t *table) fixed(b int) bool {
	_, stays := slices.BinarySearch(t.constraints.Fixed, uint32(b))
	return stays
}

func (t *table) mayMove() bool {
	return t.constraints.MaxMoves == 0 || t.moves < t.constraints.MaxMoves
}

func (t *table) move(b int, to uint64) {
	from, size := t.owners[b], t.size(b)
	t.count[from]--
	t.bytes[from] -= size
	t.count[to]++
	t.bytes[to] += size
	t.owners[b] = to
	t.moves++
}

// smallest is the group that receives the next bucket: with fewest buckets, then fewest bytes.
func (t *table) smallest() uint64 {
	return slices.MinFunc(t.receivers, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(t.count[a], t.count[b]), cmp.Compare(t.bytes[a], t.bytes[b]), cmp.Compare(a, b))
	})
}

// evenOnce moves one bucket from a group with most buckets to the smallest, and reports whether it did. It does not if the two
// differ by less than two.
func (t *table) evenOnce() bool {
	low := t.smallest()
	sources := slices.Clone(t.groups)
	slices.SortFunc(sources, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(t.count[b], t.count[a]), cmp.Compare(t.bytes[b], t.bytes[a]), cmp.Compare(a, b))
	})
	for _, high := range sources {
		if t.count[high]-t.count[low] < 2 {
			return false
		}
		if b := t.pickBucket(high, low); b >= 0 {
			t.move(b, low)
			return true
		}
	}
	return false
}

// pickBucket chooses the bucket whose move from high to low brings their bytes closest together; among equals the last one.
// -1: every bucket of high is fixed.
func (t *table) pickBucket(high, low uint64) int {
	best, least := -1, uint64(0)
	gap := t.bytes[high] - min(t.bytes[high], t.bytes[low])
	for b := len(t.owners) - 1; b >= 0; b-- {
		if t.owners[b] != high || t.fixed(b) {
			continue
		}
		if left := distance(gap, 2*t.size(b)); best < 0 || left < least {
			best, least = b, left
		}
	}
	return best
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }
