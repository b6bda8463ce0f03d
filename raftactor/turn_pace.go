package raftactor

import "time"

// turnPace says when a turn goes to the StateWriter: when it is large and has lasted for some time, or is very large; or as
// soon after as the one before it is written. The longer a turn, the fewer records that change often are written; but the
// larger it is, the longer its sorting and writing takes a core away from who waits for an answer. So turns are small unless
// much is written, and short unless records are seen to change often. All bounds are drawn: replicas of a group apply the
// same, and should not all write at the same moment.
//
// An engine that is busy merging tables takes little. Whoever writes more than that must wait, and waits less for many small
// turns than for a few large ones: so a turn is never larger than what the engine is seen to take in turnWait.
type turnPace struct {
	draw  func(n int) int
	bytes int           // what is large
	lasts time.Duration // how long a large turn goes on
	began time.Duration // when the turn began, which is when the one before it went to the StateWriter
	takes int           // bytes that the engine is seen to take in turnWait; 0: not seen yet
}

const (
	turnBytes     = 192 << 10 // at most, before a turn is large
	turnTime      = 2 * time.Second
	manyTurns     = 20      // so many times as large as a large turn is very large
	fullTurnBytes = 8 << 20 // nothing is applied to a turn like that until the one before it is written
	turnWait      = 150 * time.Millisecond
)

// begin draws the bounds of the next turn, between half of what they may be and all.
func (p *turnPace) begin(now time.Duration) {
	const shares = 1 << 10
	share := shares - p.draw(shares/2)
	p.began, p.bytes, p.lasts = now, turnBytes*share/shares, turnTime*time.Duration(share)/shares
}

// stored notes that the turn before this one has been written, with so many bytes.
func (p *turnPace) stored(now time.Duration, bytes int) {
	took := max(now-p.began, time.Microsecond)
	takes := int(min(float64(bytes)*float64(turnWait)/float64(took), fullTurnBytes))
	if took < turnWait {
		takes = max(takes, p.takes) // short, and perhaps for want of more to write
	}
	p.takes = takes
}

// full is how many bytes a turn may have before it must wait for the one before it.
func (p *turnPace) full() int {
	if p.takes == 0 {
		return fullTurnBytes
	}
	return min(max(p.takes, turnBytes), fullTurnBytes)
}

// over tells whether a turn should be written now.
func (p *turnPace) over(now time.Duration, t *turn) bool {
	lasts := p.lasts
	if !t.saves() {
		lasts /= 4
	}
	return t.bytes >= p.bytes && (now-p.began >= lasts || t.bytes >= min(manyTurns*p.bytes, p.full()))
}
