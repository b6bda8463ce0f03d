package raftactor

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// line is one end of a transfer's line: what its actor sends waits there until the test lets it arrive.
type line struct {
	one
	out []any
	to  string // where the last chunk went
}

func (l *line) Send(to *actor.PID, message any) {
	l.out = append(l.out, message)
	if _, ok := message.(*messages.SnapshotChunk); ok {
		l.to = to.Address
	}
}

func (l *line) Stop(*actor.PID) {}

// transferWorld is a sender, a receiver, and their engines.
type transferWorld struct {
	t        *testing.T
	clock    *handClock
	o        *Options
	from, to store
	sender   *snapshotSender
	receiver *snapshotReceiver
	sent     line // by the sender
	got      line // by the receiver
	chunks   map[uint64]int
	ended    []snapshotEnded
	staged   int
	failed   error  // why the node stops
	at       string // where the follower is
}

func newTransferWorld(t *testing.T, pairs int) *transferWorld {
	w := &transferWorld{t: t, at: "follower", clock: &handClock{now: time.Hour}, chunks: map[uint64]int{}}
	system, err := actors.NewSystem(actors.Env{
		Clock: w.clock, Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: func(err error) { w.failed = err },
	}, oneSystem{})
	require.NoError(t, err)
	w.o = &Options{
		Group: 5, Node: 1, System: system, Limits: Limits{ChunkBytes: 1000, SnapshotRate: 100_000},
		Address: func(messages.NodeID) string { return w.at },
	}
	w.from, w.to = store{memory.New(), 5}, store{memory.New(), 5}
	batch := new(persistence.Batch)
	for i := range pairs {
		batch.Put(append(w.from.dataPrefix(), fmt.Sprintf("key%03d", i)...), make([]byte, 490))
	}
	require.NoError(t, w.from.putMeta(batch, w.from.key(kindApplied), &messages.SnapshotMeta{Index: 10, Term: 1, Conf: &messages.ConfState{}}))
	require.NoError(t, w.from.engine.Write(batch, true))
	w.sender = &snapshotSender{o: w.o, store: w.from, node: 2, transfer: 77, limiter: actors.NewRateLimiter(w.o.Limits.SnapshotRate)}
	w.restart()
	w.tell(w.sender, &w.sent, new(actor.Started))
	return w
}

// restart gives the receiver another life on what its disk has.
func (w *transferWorld) restart() {
	w.receiver = newSnapshotReceiver(w.o, w.to, nil)
	w.got.out = nil
	w.tell(w.receiver, &w.got, new(actor.Started))
}

func (w *transferWorld) tell(a actor.Actor, at *line, message any) {
	at.message = message
	a.Receive(at)
}

// pass lets all that is on the line arrive, but for what is lost, and then the time that a timer waits for.
func (w *transferWorld) pass(lost func(message any) bool) {
	sent, got := w.sent.out, w.got.out
	w.sent.out, w.got.out = nil, nil
	for _, message := range sent {
		switch m := message.(type) {
		case snapshotEnded:
			w.ended = append(w.ended, m)
		case *messages.SnapshotChunk:
			if w.chunks[m.Number]++; !lost(m) {
				w.tell(w.receiver, &w.got, m)
			}
		}
	}
	for _, message := range got {
		switch m := message.(type) {
		case snapshotStaged:
			w.staged++
		case *messages.SnapshotAck:
			if !lost(m) {
				w.tell(w.sender, &w.sent, m)
			}
		}
	}
	if len(sent)+len(got) == 0 {
		w.clock.now += 100 * time.Millisecond
		if w.sender.limited {
			w.tell(w.sender, &w.sent, limitPassed{})
		}
		w.tell(w.sender, &w.sent, resendTimer{})
	}
}

func (w *transferWorld) run(lost func(message any) bool) {
	for range 10_000 {
		if len(w.ended) > 0 {
			return
		}
		w.pass(lost)
	}
	w.t.Fatal("the transfer never ends")
}

// whole checks that everything has arrived, once.
func (w *transferWorld) whole(pairs int) {
	require.NoError(w.t, w.failed)
	require.Equal(w.t, []snapshotEnded{{to: 2, transfer: 77, index: 10, ok: true}}, w.ended)
	w.pass(never)
	require.Equal(w.t, 1, w.staged)
	require.NoError(w.t, w.to.install(&messages.SnapshotMeta{Index: 10, Term: 1, Conf: &messages.ConfState{}}))
	count := 0
	require.NoError(w.t, w.to.data().Scan(nil, nil, func(_, _ []byte) bool { count++; return true }))
	require.Equal(w.t, pairs, count)
}

func never(any) bool { return false }

// A transfer takes as long as its rate says, and sends nothing twice.
func TestSnapshotsAreRateLimited(t *testing.T) {
	w := newTransferWorld(t, 100)
	w.run(never)
	w.whole(100)
	for number, times := range w.chunks {
		require.Equal(t, 1, times, "chunk %d", number)
	}
	took := w.clock.now - time.Hour
	require.GreaterOrEqual(t, took, 400*time.Millisecond, "100 pairs of 496 bytes at 100,000 bytes a second")
}

// Whatever of it gets lost, a snapshot arrives.
func TestSnapshotsSurviveLosses(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		w := newTransferWorld(t, 20)
		w.run(func(any) bool { return rng.IntN(4) == 0 })
		w.whole(20)
	}
}

// A follower that loses power goes on with what its disk has of a transfer: that is not sent again.
func TestSnapshotsGoOnAfterARestart(t *testing.T) {
	again := 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		w := newTransferWorld(t, 100)
		for w.receiver.nextChunk < 40 {
			w.pass(never)
		}
		if seed%2 == 0 { // all that was written is there, or a part of it
			w.to.engine = w.to.engine.(*memory.Engine).Kill()
		} else {
			w.to.engine = w.to.engine.(*memory.Engine).Crash(rng)
		}
		w.restart()
		had := w.receiver.nextChunk
		w.run(never)
		w.whole(100)
		for number, times := range w.chunks {
			if uint64(number) < had {
				require.Equal(t, 1, times, "seed %d: chunk %d was there", seed, number)
			} else {
				again += times - 1
			}
		}
	}
	require.Less(t, again, 20*50/2, "half of what a transfer from the beginning would be")
}

// A leader whose disk has lost a part of the data cannot send it, now or later: its node must go. One that stops anyway has
// nothing to say.
func TestSnapshotsNeedAWholeDisk(t *testing.T) {
	w := newTransferWorld(t, 10)
	require.True(t, w.from.engine.(*memory.Engine).FailChecksum(append(w.from.dataPrefix(), "key007"...)))
	w.run(never)
	corrupt := new(persistence.CorruptError)
	require.ErrorAs(t, w.failed, &corrupt)
	require.Equal(t, []snapshotEnded{{to: 2, transfer: 77, index: 10}}, w.ended)

	w = newTransferWorld(t, 10)
	w.sender.data.Close()
	w.run(never)
	require.NoError(t, w.failed)
}

// What was complete when the power went is offered again, and the sender is told so, not asked for it once more.
func TestCompleteSnapshotSurvivesARestart(t *testing.T) {
	w := newTransferWorld(t, 4)
	for w.staged == 0 {
		w.pass(func(message any) bool { _, ack := message.(*messages.SnapshotAck); return ack && w.receiver.occupied })
	}
	w.to.engine = w.to.engine.(*memory.Engine).Crash(rand.New(rand.NewPCG(1, 1)))
	w.staged = 0
	w.restart()
	w.run(never)
	w.whole(4)
	require.Equal(t, 1, w.chunks[0])
}

// A follower that never answers is given up; one that takes another transfer meanwhile says so.
func TestSnapshotsEnd(t *testing.T) {
	w := newTransferWorld(t, 4)
	w.run(func(any) bool { return true })
	require.Equal(t, []snapshotEnded{{to: 2, transfer: 77, index: 10}}, w.ended)
	require.GreaterOrEqual(t, w.clock.now-time.Hour, transferTimeout)

	w = newTransferWorld(t, 10)
	w.pass(never)
	w.tell(w.receiver, &w.got, &messages.SnapshotChunk{Group: 5, Transfer: 78, Meta: &messages.SnapshotMeta{Index: 11, Conf: &messages.ConfState{}}})
	w.run(never)
	require.Equal(t, []snapshotEnded{{to: 2, transfer: 77, index: 10}}, w.ended)
}

// A follower that is started again at another address gets the rest there (seed 1001045 of the simulator).
func TestSnapshotFollowsItsFollower(t *testing.T) {
	w := newTransferWorld(t, 200)
	require.Equal(t, "follower", w.sent.to)
	w.at = ""
	for range 50 {
		w.pass(func(any) bool { return true })
	}
	w.sent.to = ""
	require.Empty(t, w.ended, "it is waited for, wherever it is")
	w.at = "elsewhere"
	w.restart()
	w.run(never)
	require.Equal(t, "elsewhere", w.sent.to)
	require.True(t, w.ended[0].ok)
}
