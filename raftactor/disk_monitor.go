package raftactor

// diskWatch decides whether one disk has stalled: whether it has not completed what was submitted to it for too many ticks. A slow disk
// is not a stalled one, so a disk that lately took long to complete something is given twice as long for the next. It counts ticks
// and not time, so that a process that was stopped does not blame its disk. It is pure.
type diskWatch struct {
	submitted, completed uint64 // newest steps submitted to the disk, and completed by it; completed <= submitted
	completedBefore      uint64 // completed, as of the tick before
	ticks                int    // since the last completion, while something is submitted and not completed
	longest              int    // most ticks that a completion took lately; it decays by an eighth with each completion
}

// maxStallFactor is how many times the limit a slow disk is given at most.
const maxStallFactor = 4

// tick counts one tick. It reports whether the disk counts as stalled now, where limit is the number of ticks that a fast disk is given.
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

// idle tells whether the disk has completed everything.
func (s *diskWatch) idle() bool { return s.submitted == s.completed }

// dataStallFactor is how many times as long as the log's the data's disk may take: a probe waits behind an unknown amount of work.
const dataStallFactor = 3

// diskMonitor watches the disk of the log and the disk of the data of one replica. The Writer completes what is submitted to the
// log. The Applier completes a probe, or a batch of entries, which stands for the data. It is pure.
type diskMonitor struct {
	limit   int // ticks that a fast log disk is given: Limits.StallTicks
	log     diskWatch
	data    diskWatch
	stalled bool // what changed has reported last
}

// tick counts one tick. While a snapshot is being installed the data's disk may take as long as it needs, and is not watched. probe tells
// that the data's disk is idle and that a probe has been submitted, which the caller sends.
func (m *diskMonitor) tick(restoring bool) (log, data, probe bool) {
	log = m.log.tick(m.limit)
	if restoring {
		return log, false, false
	}
	data = m.data.tick(dataStallFactor * m.limit)
	if probe = m.data.idle(); probe {
		m.data.submitted++
	}
	return log, data, probe
}

// logSubmitted and logCompleted note that the Writer was given, and has made durable, all steps up to seq.
func (m *diskMonitor) logSubmitted(seq uint64) { m.log.submitted = seq }
func (m *diskMonitor) logCompleted(seq uint64) { m.log.completed = seq }

// probed notes the answer to a probe.
func (m *diskMonitor) probed() { m.data.completed++ }

// applied notes that the Applier has got on by itself: a disk may be slow, and a probe wait, while it does.
func (m *diskMonitor) applied() {
	m.data.submitted, m.data.completed = m.data.submitted+1, m.data.completed+1
}

// idle tells whether both disks have completed everything.
func (m *diskMonitor) idle() bool { return m.log.idle() && m.data.idle() }

// changed takes what tick has said of the two disks. It reports whether the replica counts as stalled now and did not before, or the
// other way round.
func (m *diskMonitor) changed(log, data bool) bool {
	before := m.stalled
	m.stalled = log || data
	return m.stalled != before
}

// probe asks the Applier for a sign of life. The Applier answers probed in the order of its mailbox, so not while what came before the
// probe hangs or is deferred.
type (
	probe  struct{}
	probed struct{}
)

// watchDisks tells the core when a disk stalls, and when both answer again.
func (p *Peer) watchDisks() {
	log, data, due := p.disks.tick(p.core.Restoring())
	if due {
		p.o.System.Root.Send(p.pids.applier, probe{})
	}
	p.noteStall(log, data)
}

// onDiskAnswer looks at the disks while the group is quiesced and nothing ticks, and reports the replica's status: what is under way
// still comes to an end.
func (p *Peer) onDiskAnswer() {
	if !p.core.Quiesced() {
		return
	}
	if p.disks.idle() {
		p.noteStall(false, false)
	}
	p.report()
}

func (p *Peer) noteStall(log, data bool) {
	if !p.disks.changed(log, data) {
		return
	}
	p.core.Stalled(p.disks.stalled)
	p.o.System.Events(DiskStalled{Group: p.o.Group, Over: !p.disks.stalled, Log: log, Data: data})
}
