package raftactor

// stall notices a disk that does not answer: what it was given has been the same for too many ticks. A disk that is slow is not
// one that hangs, so one that has lately taken long for an answer is given twice as long for the next. It counts ticks and not time,
// so that a process that was stopped does not blame its disk.
type diskWatch struct {
	submitted, completed uint64 // newest steps that the disk was given, and has answered
	completedBefore      uint64 // done at the tick before
	ticks                int    // since the last answer, while one is awaited
	longest              int    // that an answer took lately
}

// maxStallFactor is how many times the limit a slow disk is given.
const maxStallFactor = 4

// tick tells whether the disk counts as stalled now.
func (s *diskWatch) tick(limit int) bool {
	if s.completed != s.completedBefore {
		s.longest = max(s.ticks, s.longest-(s.longest+7)/8)
	}
	if s.submitted == s.completed || s.completed != s.completedBefore {
		s.ticks = 0
	} else {
		s.ticks++
	}
	s.completedBefore = s.completed
	return s.ticks >= max(limit, min(2*s.longest, maxStallFactor*limit))
}

// dataStallFactor is how many times as long the data may take as the log: nobody can tell how much there is to do before an answer.
const dataStallFactor = 3

// probe asks the Applier for a sign of life. It is answered in turn, so not while what was asked before hangs or must wait; probed is
// the answer.
type (
	probe  struct{}
	probed struct{}
)

// watchDisk tells the core when a disk does not answer, and when all do again. An Applier that installs a snapshot is not asked:
// that may take its time.
func (p *Peer) watchDisk() {
	log, data := p.logDisk.tick(p.o.Limits.StallTicks), false
	if !p.core.Restoring() {
		data = p.dataDisk.tick(dataStallFactor * p.o.Limits.StallTicks)
		if p.dataDisk.submitted == p.dataDisk.completed {
			p.dataDisk.submitted++
			p.o.System.Root.Send(p.applier, probe{})
		}
	}
	p.noteStall(log, data)
}

// answeredWhileQuiesced looks at the disks, and tells the node how this replica is, while its group is quiesced and nothing ticks: what is
// under way then still comes to an end.
func (p *Peer) answeredWhileQuiesced() {
	if !p.core.Quiesced() {
		return
	}
	if p.logDisk.submitted == p.logDisk.completed && p.dataDisk.submitted == p.dataDisk.completed {
		p.noteStall(false, false)
	}
	p.report()
}

func (p *Peer) noteStall(log, data bool) {
	stalled := log || data
	if stalled == p.stalled {
		return
	}
	p.stalled = stalled
	p.core.Stalled(stalled)
	p.o.System.Events(DiskStalled{Group: p.o.Group, Over: !stalled, Log: log, Data: data})
}
