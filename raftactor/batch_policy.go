package raftactor

import "time"

// batchPolicy decides when a state batch is sent to the StateWriter: when it is large and has grown for some time, or is very large, and
// the batch before it is written. The longer a batch grows, the fewer writes of records that change often reach the engine. But the
// larger it is, the longer its sorting and writing takes a CPU away from requests. So batches are small unless much is written, and grow
// for a short time unless records are seen to change often. All bounds are random: the replicas of a group apply the same, and should
// not all write at the same moment.
//
// An engine that is busy compacting accepts little. Clients that write more than it accepts must wait, and they wait less for many small
// batches than for a few large ones: so a batch is never larger than what the engine is seen to accept within batchWait. It is pure.
type batchPolicy struct {
	draw        func(n int) int // random, in [0, n)
	largeBytes  int             // from this size on a batch is large
	maxAge      time.Duration   // for how long a large batch grows
	began       time.Duration   // monotonic, when the batch began: when the one before it was sent to the StateWriter
	engineBytes int             // bytes that the engine is seen to accept within batchWait; 0: not known yet
}

const (
	largeBatchBytes  = 192 << 10       // upper bound of largeBytes
	batchTime        = 2 * time.Second // upper bound of maxAge
	veryLargeBatches = 20              // a batch of so many times largeBytes is very large
	fullBatchBytes   = 8 << 20         // nothing is applied to such a batch until the one before it is written
	batchWait        = 150 * time.Millisecond
)

// begin draws the bounds of the next batch, between half of what they may be and all.
func (p *batchPolicy) begin(now time.Duration) {
	const shares = 1 << 10
	share := shares - p.draw(shares/2)
	p.began, p.largeBytes, p.maxAge = now, largeBatchBytes*share/shares, batchTime*time.Duration(share)/shares
}

// written notes that the batch before this one, of a number of bytes, is written.
func (p *batchPolicy) written(now time.Duration, bytes int) {
	took := max(now-p.began, time.Microsecond)
	takes := int(min(float64(bytes)*float64(batchWait)/float64(took), fullBatchBytes))
	if took < batchWait {
		takes = max(takes, p.engineBytes) // it was quick, perhaps since there was little to write
	}
	p.engineBytes = takes
}

// maxBytes is the size from which a batch must wait for the one before it.
func (p *batchPolicy) maxBytes() int {
	if p.engineBytes == 0 {
		return fullBatchBytes
	}
	return min(max(p.engineBytes, largeBatchBytes), fullBatchBytes)
}

// due tells whether a batch should be written now.
func (p *batchPolicy) due(now time.Duration, batch *stateBatch) bool {
	maxAge := p.maxAge
	if !batch.overwritesOften() {
		maxAge /= 4
	}
	return batch.bytes >= p.largeBytes && (now-p.began >= maxAge || batch.bytes >= min(veryLargeBatches*p.largeBytes, p.maxBytes()))
}
