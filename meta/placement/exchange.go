package placement

import (
	"cmp"
	"slices"
)

// Exchange evens out bytes: it finds one bucket of a group with more bytes and one of a group with fewer that change places, or one
// bucket alone where the counts allow it, and returns the new owners. The counts stay within one of each other, and the bytes get
// closer. The pair of groups with the widest gap comes first; of the exchanges that nearly close it, the one with the fewest
// bytes to copy. The owners are those before if no exchange is worth its copying, or the sizes are not known. Sizes that are
// wrong by a twentieth never make it undo what it did. It is deterministic and does not change its arguments.
func Exchange(owners, groups []uint64, c Constraints) []uint64 {
	t := newTable(owners, groups, c)
	if len(c.BucketBytes) != len(owners) {
		return t.owners
	}
	for _, p := range t.unevenPairs() {
		if e := t.bestExchange(p); e.give >= 0 {
			t.move(e.give, p.low)
			if e.receive >= 0 {
				t.move(e.receive, p.high)
			}
			break
		}
	}
	return t.owners
}

// defaultUnevenBytes is by how many bytes groups may differ before buckets are exchanged: a migration has its price, and an
// engine cannot measure what it has not written to its files yet.
const defaultUnevenBytes = 64 << 20

// maxCopyFactor bounds what an exchange may copy, as a multiple of the bytes by which it changes the gap.
const maxCopyFactor = 4

// pair is two groups, high with more bytes than low. gap is the difference in bytes.
type pair struct{ high, low, gap uint64 }

// unevenPairs are the pairs of groups that differ by too many bytes, the widest gap first.
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

// exchange is what a pair of groups may exchange.
type exchange struct {
	give         int    // bucket that goes from high to low; -1: there is no exchange
	receive      int    // bucket that goes from low to high; -1: none
	remainingGap uint64 // in bytes, afterwards
	copyBytes    uint64 // of the buckets that move
}

// bestExchange is the best exchange between two groups.
func (t *table) bestExchange(p pair) exchange {
	best := exchange{give: -1, receive: -1, remainingGap: p.gap}
	most := p.gap/2 + p.gap/8 // a larger difference would leave a gap the other way
	consider := func(give, receive int, difference, copyBytes uint64) {
		if difference > most || copyBytes > maxCopyFactor*difference {
			return
		}
		e := exchange{give, receive, distance(p.gap, 2*difference), copyBytes}
		better := e.remainingGap < best.remainingGap
		if max(e.remainingGap, best.remainingGap) <= p.gap/4 { // both nearly close the gap
			better = e.copyBytes < best.copyBytes
		}
		if better {
			best = e
		}
	}
	size := t.constraints.BucketBytes
	receivable := t.movable(p.low)
	for _, give := range t.movable(p.high) {
		if t.count[p.high] > t.count[p.low] {
			consider(give, -1, size[give], size[give])
		}
		// The smallest bucket that does not make the difference too large: it closes most of the gap and costs least.
		i, _ := slices.BinarySearchFunc(receivable, size[give]-min(size[give], most), func(b int, least uint64) int { return cmp.Compare(size[b], least) })
		if i < len(receivable) && size[receivable[i]] < size[give] {
			consider(give, receivable[i], size[give]-size[receivable[i]], size[give]+size[receivable[i]])
		}
	}
	return best
}

// movable are the buckets of a group that are not fixed, by size.
func (t *table) movable(group uint64) (all []int) {
	for b, owner := range t.owners {
		if owner == group && !t.fixed(b) {
			all = append(all, b)
		}
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(t.constraints.BucketBytes[a], t.constraints.BucketBytes[b]) })
	return all
}
