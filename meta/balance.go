package meta

import (
	"cmp"
	"slices"
)

// Limits are what a Balance has to respect. The zero value is none.
type Limits struct {
	Fixed []uint32 // buckets that stay where they are, ascending
	Full  []uint64 // groups that get none
	Bytes []uint64 // of each bucket; nil: all the same
	Most  int      // moves; 0: as many as it takes

	Uneven uint64 // bytes by which two groups may differ; 0: 64 MiB
}

// Balance evens out how many buckets each group owns, with the fewest moves: no group then has two more than another,
// buckets without a living owner are placed first, and a balanced table is left alone. Of a group's buckets those go
// that also even out the bytes. Fixed buckets stay, and full groups only give, even if that leaves the table uneven. It is deterministic.
func Balance(owners, groups []uint64, l Limits) []uint64 {
	t := newTable(owners, groups, l)
	if len(t.takers) == 0 {
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

// Swap finds two buckets, or one, that change places between a group with more and one with fewer bytes, so that the
// counts stay within one and the bytes get closer. The pair with the widest gap comes first; of the exchanges that nearly
// close it, the one with the fewest bytes to copy. It gives the table afterwards: the same one, if no exchange is worth its
// transfer. Sizes that are wrong by a twentieth never make it take back what it did.
func Swap(owners, groups []uint64, l Limits) []uint64 {
	t := newTable(owners, groups, l)
	if len(l.Bytes) != len(owners) {
		return t.owners
	}
	for _, p := range t.gaps() {
		if e := t.exchange(p); e.give >= 0 {
			t.give(e.give, p.low)
			if e.take >= 0 {
				t.give(e.take, p.high)
			}
			break
		}
	}
	return t.owners
}

// unevenBytes is how far apart groups may be before buckets are exchanged for it: a transfer has its price, and an engine
// knows nothing of what it has not written to its files yet.
const unevenBytes = 64 << 20

// pair is two groups, one with more bytes than the other.
type pair struct{ high, low, gap uint64 }

// gaps are the pairs of groups that are too far apart, the widest gap first.
func (t *table) gaps() (all []pair) {
	for _, high := range t.takers {
		for _, low := range t.takers {
			if t.bytes[high] < t.bytes[low] {
				continue
			}
			if gap := t.bytes[high] - t.bytes[low]; gap >= cmp.Or(t.limits.Uneven, unevenBytes) && gap >= t.bytes[high]/4 {
				all = append(all, pair{high, low, gap})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pair) int { return cmp.Compare(b.gap, a.gap) })
	return all
}

// swap is an exchange of buckets between two groups; give -1: there is none, take -1: the other gives nothing.
type swap struct {
	give, take int
	left, cost uint64 // the gap afterwards, and bytes to copy
}

// An exchange may copy so many times the bytes that it brings from one group to the other.
const maxCost = 4

// exchange is the best one between two groups.
func (t *table) exchange(p pair) swap {
	best, most := swap{give: -1, take: -1, left: p.gap}, p.gap/2+p.gap/8 // more would only turn the gap round
	consider := func(g, k int, differ, cost uint64) {
		if differ > most || cost > maxCost*differ {
			return
		}
		e := swap{g, k, distance(p.gap, 2*differ), cost}
		better := e.left < best.left
		if max(e.left, best.left) <= p.gap/4 { // both nearly close it
			better = e.cost < best.cost
		}
		if better {
			best = e
		}
	}
	size := t.limits.Bytes
	takes := t.loose(p.low)
	for _, g := range t.loose(p.high) {
		if t.count[p.high] > t.count[p.low] {
			consider(g, -1, size[g], size[g])
		}
		// The smallest that is not too small: it brings most and costs least.
		i, _ := slices.BinarySearchFunc(takes, size[g]-min(size[g], most), func(k int, least uint64) int { return cmp.Compare(size[k], least) })
		if i < len(takes) && size[takes[i]] < size[g] {
			consider(g, takes[i], size[g]-size[takes[i]], size[g]+size[takes[i]])
		}
	}
	return best
}

// loose are the buckets that a group may give, by size.
func (t *table) loose(group uint64) (all []int) {
	for b, owner := range t.owners {
		if owner == group && !t.fixed(b) {
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(t.limits.Bytes[a], t.limits.Bytes[b]) })
	return all
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// table is a distribution of buckets while it is changed.
type table struct {
	owners, groups []uint64
	takers         []uint64 // groups that are not full
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
	t.takers = slices.DeleteFunc(slices.Clone(t.groups), func(g uint64) bool { return slices.Contains(l.Full, g) })
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
	return slices.MinFunc(t.takers, func(a, b uint64) int {
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
