package raftactor

// stall notices a disk that does not answer: the Writer has had the same oldest step for too many ticks. It counts ticks
// and not time, so that a process that was stopped does not blame its disk.
type stall struct {
	handed, done uint64 // newest steps that the Writer was given, and has made durable
	before       uint64 // done at the tick before
	ticks        int
}

// tick tells whether the disk counts as stalled now.
func (s *stall) tick(limit int) bool {
	if s.handed == s.done || s.done != s.before {
		s.ticks = 0
	} else {
		s.ticks++
	}
	s.before = s.done
	return s.ticks >= limit
}

// watchDisk tells the core when the disk does not answer, and when it does again.
func (p *Peer) watchDisk() {
	stalled := p.stall.tick(p.o.Limits.StallTicks)
	if stalled == p.stalled {
		return
	}
	p.stalled = stalled
	p.core.Stalled(stalled)
	p.o.System.Events(DiskStalled{Group: p.o.Group, Over: !stalled})
}
