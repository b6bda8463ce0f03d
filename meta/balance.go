package meta

import (
	"cmp"
	"slices"
)

// Limits are what a Balance has to respect. The zero value is none.
type Limits struct {
	Fixed []uint32 // buckets that stay where they are, ascending
	Bytes []uint64 // of each bucket; nil: all the same
	Most  int      // moves; 0: as many as it takes
}

// Balance evens out how many buckets each group owns, with the fewest moves: no group then has two more than another,
// buckets without a living owner are placed first, and a balanced table is left alone. Of a group's buckets those go
// that also even out the bytes. Fixed buckets stay, even if that leaves the table uneven. It is deterministic.
func Balance(owners, groups []uint64, l Limits) []uint64 {
	t := newTable(owners, groups, l)
	if len(t.groups) == 0 {
		return t.owners
	}
	for b, owner := range t.owners {
		if !slices.Contains(t.groups, owner) && !t.fixed(b) && t.more() {
			t.give(b, t.least())
		}
	}
	for t.more() && t.even() {
	}
	return t.owners
}

// Swap finds two buckets, or one, that change places between the group with the most and the one with the least bytes,
// so that the counts stay within one and the bytes get closer by much. It gives the table afterwards: the same one, if
// no exchange is worth its transfer.
func Swap(owners, groups []uint64, l Limits) []uint64 {
	t := newTable(owners, groups, l)
	if len(t.groups) < 2 || len(l.Bytes) != len(owners) {
		return t.owners
	}
	byBytes := func(a, b uint64) int { return cmp.Or(cmp.Compare(t.bytes[a], t.bytes[b]), cmp.Compare(a, b)) }
	low, high := slices.MinFunc(t.groups, byBytes), slices.MaxFunc(t.groups, byBytes)
	gap := t.bytes[high] - t.bytes[low]
	if gap < unevenBytes || gap < t.bytes[high]/4 {
		return t.owners
	}
	best, give, take := gap-gap/4, -1, -1 // the gap afterwards, and who moves
	consider := func(g, k int, left uint64) {
		if left < best {
			best, give, take = left, g, k
		}
	}
	for g := range t.owners {
		if t.owners[g] != high || t.fixed(g) {
			continue
		}
		if t.count[high] > t.count[low] {
			consider(g, -1, distance(gap, 2*l.Bytes[g]))
		}
		for k := range t.owners {
			if t.owners[k] == low && !t.fixed(k) && l.Bytes[g] > l.Bytes[k] {
				consider(g, k, distance(gap, 2*(l.Bytes[g]-l.Bytes[k])))
			}
		}
	}
	if give >= 0 {
		t.give(give, low)
	}
	if take >= 0 {
		t.give(take, high)
	}
	return t.owners
}

// unevenBytes is how far apart groups may be before buckets are exchanged for it: a transfer has its price, and sizes
// are only roughly known.
const unevenBytes = 64 << 20

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// table is a distribution of buckets while it is changed.
type table struct {
	owners, groups []uint64
	limits         Limits
	count          map[uint64]int
	bytes          map[uint64]uint64
	moves          int
}

func newTable(owners, groups []uint64, l Limits) *table {
	t := &table{
		owners: slices.Clone(owners), groups: slices.Sorted(slices.Values(groups)), limits: l,
		count: map[uint64]int{}, bytes: map[uint64]uint64{},
	}
	for b, owner := range owners {
		t.count[owner]++
		t.bytes[owner] += t.size(b)
	}
	return t
}

func (t *table) size(b int) uint64 {
	if len(t.limits.Bytes) != len(t.owners) {
		return 0
	}
	return t.limits.Bytes[b]
}

func (t *table) fixed(b int) bool {
	_, stays := slices.BinarySearch(t.limits.Fixed, uint32(b))
	return stays
}

func (t *table) more() bool { return t.limits.Most == 0 || t.moves < t.limits.Most }

func (t *table) give(b int, to uint64) {
	from, size := t.owners[b], t.size(b)
	t.count[from]--
	t.bytes[from] -= size
	t.count[to]++
	t.bytes[to] += size
	t.owners[b] = to
	t.moves++
}

// least is the group that gets the next bucket.
func (t *table) least() uint64 {
	return slices.MinFunc(t.groups, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(t.count[a], t.count[b]), cmp.Compare(t.bytes[a], t.bytes[b]), cmp.Compare(a, b))
	})
}

// even moves one bucket from a group that has most to one that has least, if that makes a difference.
func (t *table) even() bool {
	low := t.least()
	givers := slices.Clone(t.groups)
	slices.SortFunc(givers, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(t.count[b], t.count[a]), cmp.Compare(t.bytes[b], t.bytes[a]), cmp.Compare(a, b))
	})
	for _, high := range givers {
		if t.count[high]-t.count[low] < 2 {
			return false
		}
		if b := t.pick(high, low); b >= 0 {
			t.give(b, low)
			return true
		}
	}
	return false
}

// pick chooses the bucket of a giver that brings the bytes closest together; among equals the last. -1: none may go.
func (t *table) pick(high, low uint64) int {
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
