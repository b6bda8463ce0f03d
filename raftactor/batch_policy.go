package raftactor

import "time"

// batchPolicy says when a state batch goes to the StateWriter: when it is large and has grown for some time, or is very large, and the
// batch before it is written. The longer a batch grows, the fewer writes of records that change often reach the engine. But the
// larger it is, the longer its sorting and writing takes a core away from requests. So batches are small unless much is written,
// and grow for a short time unless records are seen to change often. All bounds are random: replicas of a group apply the same, and
// should not all write at the same moment.
//
// An engine that is busy compacting takes little. Clients that write more than it takes must wait, and they wait less for many small
// batches than for a few large ones: so a batch is never larger than what the engine is seen to take in batchWait.
type batchPolicy struct {
	draw        func(n int) int
	largeBytes  int           // above which a batch is large
	maxAge      time.Duration // for how long a large batch grows
	began       time.Duration // when the batch began, which is when the one before it went to the StateWriter
	engineBytes int           // bytes that the engine is seen to take in batchWait; 0: not seen yet
}

const (
	largeBatchBytes  = 192 << 10 // at most, above which a batch is large
	batchTime        = 2 * time.Second
	veryLargeBatches = 20      // a batch so many times as large is very large
	fullBatchBytes   = 8 << 20 // nothing is applied to such a batch until the one before it is written
	batchWait        = 150 * time.Millisecond
)

// begin draws the bounds of the next batch, between half of what they may be and all.
func (p *batchPolicy) begin(now time.Duration) {
	const shares = 1 << 10
	share := shares - p.draw(shares/2)
	p.began, p.largeBytes, p.maxAge = now, largeBatchBytes*share/shares, batchTime*time.Duration(share)/shares
}

// stored notes that the batch before this one, of so many bytes, is written.
func (p *batchPolicy) written(now time.Duration, bytes int) {
	took := max(now-p.began, time.Microsecond)
	takes := int(min(float64(bytes)*float64(batchWait)/float64(took), fullBatchBytes))
	if took < batchWait {
		takes = max(takes, p.engineBytes) // short, and perhaps for want of more to write
	}
	p.engineBytes = takes
}

// full is how many bytes a batch may have before it must wait for the one before it.
func (p *batchPolicy) maxBytes() int {
	if p.engineBytes == 0 {
		return fullBatchBytes
	}
	return min(max(p.engineBytes, largeBatchBytes), fullBatchBytes)
}

// over tells whether a batch should be written now.
func (p *batchPolicy) due(now time.Duration, batch *stateBatch) bool {
	maxAge := p.maxAge
	if !batch.overwritesOften() {
		maxAge /= 4
	}
	return batch.bytes >= p.largeBytes && (now-p.began >= maxAge || batch.bytes >= min(veryLargeBatches*p.largeBytes, p.maxBytes()))
}
