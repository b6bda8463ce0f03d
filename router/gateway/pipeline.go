package gateway

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// pipeline is the commands of one connection on their way. What is carried out at once is what there is room for in answers,
// and the next is carried out when these are in the socket: a client that does not read gets nothing done.
//
// How large an answer will be is guessed. A read that has a larger one is not answered but says how large it is, and is
// carried out again when there is room for that. A connection that waits for room holds none: it gives up what it has read
// behind that command, which nobody has seen yet. So connections cannot wait for one another.
type pipeline struct {
	g     *Gateway
	w     *writer
	held  int // of the room for answers
	guess router.Guess
	since time.Time // when the connection began to wait for room; zero: it got what it asked for last
}

const (
	maxBatch    = 1024      // commands of a connection, or operations of one of them, that are at work at once
	freeAnswers = 16 << 10  // bytes of answers of each connection for which no room is asked
	mostAnswers = 1 << 20   // bytes of answers of a connection at once; one larger answer comes alone
	answerBytes = 64 << 20  // of all connections
	socketBytes = 512 << 10 // of answers in the kernel, of each connection
)

// serve answers what comes on a connection until it ends.
func (g *Gateway) serve(conn net.Conn, cl *client) {
	defer g.leave(conn) // as it was accepted
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(socketBytes) // else it takes megabytes that nobody reads; what it refuses is no harm
	}
	conn = counted{conn, &g.stats}
	r, p := newReader(conn, g.room), &pipeline{g: g, w: newWriter(conn, g.o.DrainWait)}
	defer func() {
		r.release(false)
		p.hold(0)
		if p.w.out.stalled() && g.o.Stalled != nil {
			g.o.Stalled(conn.RemoteAddr().String())
		}
	}()
	for {
		batch, err := gather(r)
		quit := p.answer(cl, batch, r.release)
		var garbage errProtocol
		if errors.As(err, &garbage) {
			p.w.WriteError(garbage.Error())
		}
		if gone := p.w.Flush(); quit || err != nil || gone != nil {
			return
		}
		p.hold(0)
		if cap(p.w.Buffer()) > highBuffer {
			p.w.SetBuffer(nil) // a large answer is no reason to keep so much for the next
		}
	}
}

// gather waits for a command, and takes along what has been pipelined behind it.
func gather(r *reader) (batch []words, err error) {
	for more := true; more && len(batch) < maxBatch; {
		var w words
		if w, more, err = r.next(len(batch) == 0); more {
			batch = append(batch, w)
		}
	}
	return batch, err
}

// answer carries out a batch, and writes its answers. release is told when the commands are no longer needed. It reports
// whether the client wants to leave, or has left.
func (p *pipeline) answer(cl *client, batch []words, release func(served bool)) (quit bool) {
	calls := make([]*call, 0, len(batch))
	for _, command := range batch {
		c := p.g.parse(cl, command)
		c.resp3 = cl.resp3 // as this command left it
		c.refuse(p.g.o.Loading)
		if calls = append(calls, c); c.quit {
			quit = true
			break
		}
	}
	if len(calls) > 0 {
		cl.note(time.Now(), calls[len(calls)-1].full)
	}
	for len(calls) > 0 {
		now := calls[:p.begin(calls)]
		for _, c := range now {
			c.wait()
			c.learn(&p.guess)
		}
		release(!strings.HasPrefix(now[0].failure(), word(messages.Code_OVERLOADED))) // only the first can hold room
		written, ok := p.write(now)
		if !ok {
			return true
		}
		calls = calls[written:]
	}
	return quit
}

// begin carries out as many of the calls as may be at once, one at least, and tells how many.
func (p *pipeline) begin(calls []*call) int {
	n, need := p.together(calls, min(mostAnswers, p.g.o.AnswerBytes))
	if !p.hold(need) {
		for _, c := range calls[1:] {
			c.drop()
		}
		n, need = p.together(calls, freeAnswers)
		if !p.hold(need) {
			p.await(calls[0], need)
		}
	}
	for _, c := range calls[n:] {
		c.drop()
	}
	for _, c := range calls[:n] {
		if c.work != nil {
			c.work()
			continue
		}
		c.run(p.g, p.guess.Bytes())
	}
	return n
}

// together tells how many of the calls may be carried out at once, and how much room their answers need. Calls that touch the
// same key may not, unless they only read it.
func (p *pipeline) together(calls []*call, most int) (n, need int) {
	written, ops, unknown := map[string]bool{}, 0, false
	for ; n < len(calls); n++ {
		c := calls[n]
		more := c.need(p.guess.Bytes())
		if n > 0 && (need+more > most || ops+len(c.ops) > maxBatch || unknown || c.alone() || calls[n-1].alone()) {
			break
		}
		for _, key := range c.keys {
			if writes, known := written[key]; known && (c.writes || writes) {
				return n, need
			}
		}
		for _, key := range c.keys {
			written[key] = written[key] || c.writes
		}
		need, ops = need+more, ops+len(c.ops)
		unknown = unknown || !p.guess.Known() && slices.ContainsFunc(c.ops, reads) // the first tells how large the others may be
	}
	return n, need
}

// hold makes the room that the connection holds what answers of that size need. It does not wait, and reports whether there
// was room; if not it holds what it held.
func (p *pipeline) hold(answers int) bool {
	want := min(max(0, answers-freeAnswers), p.g.o.AnswerBytes)
	if want > p.held && !p.g.answers.try(want-p.held) {
		return false
	}
	if want < p.held {
		p.g.answers.give(p.held - want)
	}
	p.held, p.since = want, time.Time{}
	return true
}

// await waits for the room that a call needs, or refuses the call.
func (p *pipeline) await(c *call, answers int) {
	if p.g.answers.give(p.held); p.since.IsZero() {
		p.since = time.Now()
	}
	want := min(answers-freeAnswers, p.g.o.AnswerBytes)
	if p.held = 0; !p.g.answers.take(want, p.since) {
		c.reject(fmt.Sprintf("OVERLOADED not carried out: this node keeps %d bytes of answers that clients have not read, and no room was left for %d more in time",
			p.g.o.AnswerBytes, answers))
		return
	}
	p.held, p.since = want, time.Time{}
}

// write writes the answers that are whole, up to the first that is not. It reports how many, and whether the client takes them.
func (p *pipeline) write(calls []*call) (n int, ok bool) {
	for _, c := range calls {
		if !c.whole() {
			break
		}
		c.write(p.w)
		p.g.stats.commands.Add(1)
		if c.failed() {
			p.g.stats.errors.Add(1)
		}
		if p.g.o.Event != nil {
			p.g.o.Event(c.name, !c.failed())
		}
		c.answers = nil
		if n++; len(p.w.Buffer()) > flushBytes && p.w.Flush() != nil || p.w.out.err != nil {
			return n, false
		}
	}
	return n, true
}
