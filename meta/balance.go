package meta

import (
	"cmp"
	"slices"
)

// Limits are what a Balance has to respect. The zero value is none.
type Constraints struct {
	Fixed       []uint32 // buckets that stay where they are, ascending
	Full        []uint64 // groups that get none
	BucketBytes []uint64 // of each bucket; nil: all the same
	MaxMoves    int      // moves; 0: as many as it takes

	UnevenBytes uint64 // bytes by which two groups may differ; 0: 64 MiB
}

// Balance evens out how many buckets each group owns, with the fewest moves: no group then has two more than another,
// buckets without a living owner are placed first, and a balanced table is left alone. Of a group's buckets those go
// that also even out the bytes. Fixed buckets stay, and full groups only give, even if that leaves the table uneven. It is deterministic.
func Balance(owners, groups []uint64, l Constraints) []uint64 {
	t := newTable(owners, groups, l)
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

// Swap finds two buckets, or one, that change places between a group with more and one with fewer bytes, so that the
// counts stay within one and the bytes get closer. The pair with the widest gap comes first; of the exchanges that nearly
// close it, the one with the fewest bytes to copy. It gives the table afterwards: the same one, if no exchange is worth its
// transfer. Sizes that are wrong by a twentieth never make it take back what it did.
func Swap(owners, groups []uint64, l Constraints) []uint64 {
	t := newTable(owners, groups, l)
	if len(l.BucketBytes) != len(owners) {
		return t.owners
	}
	for _, p := range t.unevenPairs() {
		if e := t.exchange(p); e.give >= 0 {
			t.move(e.give, p.low)
			if e.receive >= 0 {
				t.move(e.receive, p.high)
			}
			break
		}
	}
	return t.owners
}

// defaultUnevenBytes is how far apart groups may be before buckets are exchanged for it: a transfer has its price, and an engine
// knows nothing of what it has not written to its files yet.
const defaultUnevenBytes = 64 << 20

// pair is two groups, one with more bytes than the other.
type pair struct{ high, low, gap uint64 }

// gaps are the pairs of groups that are too far apart, the widest gap first.
func (t *table) unevenPairs() (all []pair) {
	for _, high := range t.receivers {
		for _, low := range t.receivers {
			if t.bytes[high] < t.bytes[low] {
				continue
			}
			if gap := t.bytes[high] - t.bytes[low]; gap >= cmp.Or(t.constraints.UnevenBytes, defaultUnevenBytes) && gap >= t.bytes[high]/4 {
				all = append(all, pair{high, low, gap})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pair) int { return cmp.Compare(b.gap, a.gap) })
	return all
}

// swap is an exchange of buckets between two groups; give -1: there is none, take -1: the other gives nothing.
type exchangeOf struct {
	give, receive        int
	remaining, copyBytes uint64 // the gap afterwards, and bytes to copy
}

// An exchange may copy so many times the bytes that it brings from one group to the other.
const maxCopyFactor = 4

// exchange is the best one between two groups.
func (t *table) exchange(p pair) exchangeOf {
	best, most := exchangeOf{give: -1, receive: -1, remaining: p.gap}, p.gap/2+p.gap/8 // more would only turn the gap round
	consider := func(g, k int, differ, cost uint64) {
		if differ > most || cost > maxCopyFactor*differ {
			return
		}
		e := exchangeOf{g, k, distance(p.gap, 2*differ), cost}
		better := e.remaining < best.remaining
		if max(e.remaining, best.remaining) <= p.gap/4 { // both nearly close it
			better = e.copyBytes < best.copyBytes
		}
		if better {
			best = e
		}
	}
	size := t.constraints.BucketBytes
	takes := t.movable(p.low)
	for _, g := range t.movable(p.high) {
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
func (t *table) movable(group uint64) (all []int) {
	for b, owner := range t.owners {
		if owner == group && !t.fixed(b) {
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(t.constraints.BucketBytes[a], t.constraints.BucketBytes[b]) })
	return all
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// table is a distribution of buckets while it is changed.
type table struct {
	owners, groups []uint64
	receivers      []uint64 // groups that are not full
	constraints    Constraints
	count          map[uint64]int
	bytes          map[uint64]uint64
	moves          int
}

func newTable(owners, groups []uint64, l Constraints) *table {
	t := &table{
		owners: slices.Clone(owners), groups: slices.Sorted(slices.Values(groups)), constraints: l,
		count: map[uint64]int{}, bytes: map[uint64]uint64{},
	}
	t.receivers = slices.DeleteFunc(slices.Clone(t.groups), func(g uint64) bool { return slices.Contains(l.Full, g) })
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

// least is the group that gets the next bucket.
func (t *table) smallest() uint64 {
	return slices.MinFunc(t.receivers, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(t.count[a], t.count[b]), cmp.Compare(t.bytes[a], t.bytes[b]), cmp.Compare(a, b))
	})
}

// even moves one bucket from a group that has most to one that has least, if that makes a difference.
func (t *table) evenOnce() bool {
	low := t.smallest()
	givers := slices.Clone(t.groups)
	slices.SortFunc(givers, func(a, b uint64) int {
		return cmp.Or(cmp.Compare(t.count[b], t.count[a]), cmp.Compare(t.bytes[b], t.bytes[a]), cmp.Compare(a, b))
	})
	for _, high := range givers {
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

// pick chooses the bucket of a giver that brings the bytes closest together; among equals the last. -1: none may go.
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
