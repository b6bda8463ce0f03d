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
	g            *Gateway
	w            *writer
	reserved     int // of the room for answers
	estimate     router.SizeEstimate
	waitingSince time.Time // when the connection began to wait for room; zero: it got what it asked for last
}

const (
	maxBatch          = 1024      // commands of a connection, or operations of one of them, that are at work at once
	freeReplyBytes    = 16 << 10  // bytes of answers of each connection for which no room is asked
	batchReplyBytes   = 1 << 20   // bytes of answers of a connection at once; one larger answer comes alone
	defaultReplyBytes = 64 << 20  // of all connections
	socketBufferBytes = 512 << 10 // of answers in the kernel, of each connection
)

// serve answers what comes on a connection until it ends.
func (g *Gateway) serve(conn net.Conn, cl *client) {
	defer g.unregister(conn) // as it was accepted
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(socketBufferBytes) // else it takes megabytes that nobody reads; what it refuses is no harm
	}
	conn = counted{conn, &g.stats}
	r, p := newReader(conn, g.commandBudget), &pipeline{g: g, w: newWriter(conn, g.options.WriteTimeout)}
	defer func() {
		r.release(false)
		p.setReserved(0)
		if p.w.out.stalled() && g.options.ClientStalled != nil {
			g.options.ClientStalled(conn.RemoteAddr().String())
		}
	}()
	for {
		batch, err := readBatch(r)
		quit := p.execute(cl, batch, r.release)
		var garbage errProtocol
		if errors.As(err, &garbage) {
			p.w.WriteError(garbage.Error())
		}
		if gone := p.w.Flush(); quit || err != nil || gone != nil {
			return
		}
		p.setReserved(0)
		if cap(p.w.Buffer()) > maxBuffer {
			p.w.SetBuffer(nil) // a large answer is no reason to keep so much for the next
		}
	}
}

// gather waits for a command, and takes along what has been pipelined behind it.
func readBatch(r *reader) (batch []rawCommand, err error) {
	for more := true; more && len(batch) < maxBatch; {
		var w rawCommand
		if w, more, err = r.next(len(batch) == 0); more {
			batch = append(batch, w)
		}
	}
	return batch, err
}

// answer carries out a batch, and writes its answers. release is told when the commands are no longer needed. It reports
// whether the client wants to leave, or has left.
func (p *pipeline) execute(cl *client, batch []rawCommand, release func(served bool)) (quit bool) {
	calls := make([]*call, 0, len(batch))
	for _, command := range batch {
		c := p.g.parse(cl, command)
		c.resp3 = cl.resp3 // as this command left it
		c.refuseWhileLoading(p.g.options.Loading)
		if calls = append(calls, c); c.quit {
			quit = true
			break
		}
	}
	if len(calls) > 0 {
		cl.publish(time.Now(), calls[len(calls)-1].fullName)
	}
	for len(calls) > 0 {
		now := calls[:p.start(calls)]
		for _, c := range now {
			c.wait()
			c.observeSizes(&p.estimate)
		}
		release(!strings.HasPrefix(now[0].failure(), errorWord(messages.Code_OVERLOADED))) // only the first can hold room
		written, ok := p.write(now)
		if !ok {
			return true
		}
		calls = calls[written:]
	}
	return quit
}

// begin carries out as many of the calls as may be at once, one at least, and tells how many.
func (p *pipeline) start(calls []*call) int {
	n, need := p.independent(calls, min(batchReplyBytes, p.g.options.ReplyBytes))
	if !p.setReserved(need) {
		for _, c := range calls[1:] {
			c.discardReads()
		}
		n, need = p.independent(calls, freeReplyBytes)
		if !p.setReserved(need) {
			p.waitForBudget(calls[0], need)
		}
	}
	for _, c := range calls[n:] {
		c.discardReads()
	}
	for _, c := range calls[:n] {
		if c.steps != nil {
			c.steps()
			continue
		}
		c.start(p.g, p.estimate.Bytes())
	}
	return n
}

// together tells how many of the calls may be carried out at once, and how much room their answers need. Calls that touch the
// same key may not, unless they only read it.
func (p *pipeline) independent(calls []*call, most int) (n, need int) {
	written, ops, unknown := map[string]bool{}, 0, false
	for ; n < len(calls); n++ {
		c := calls[n]
		more := c.replyBytes(p.estimate.Bytes())
		if n > 0 && (need+more > most || ops+len(c.ops) > maxBatch || unknown || c.exclusive() || calls[n-1].exclusive()) {
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
		unknown = unknown || !p.estimate.Known() && slices.ContainsFunc(c.ops, returnsReadValue) // the first tells how large the others may be
	}
	return n, need
}

// hold makes the room that the connection holds what answers of that size need. It does not wait, and reports whether there
// was room; if not it holds what it held.
func (p *pipeline) setReserved(answers int) bool {
	want := min(max(0, answers-freeReplyBytes), p.g.options.ReplyBytes)
	if want > p.reserved && !p.g.replyBudget.tryReserve(want-p.reserved) {
		return false
	}
	if want < p.reserved {
		p.g.replyBudget.release(p.reserved - want)
	}
	p.reserved, p.waitingSince = want, time.Time{}
	return true
}

// await waits for the room that a call needs, or refuses the call.
func (p *pipeline) waitForBudget(c *call, answers int) {
	if p.g.replyBudget.release(p.reserved); p.waitingSince.IsZero() {
		p.waitingSince = time.Now()
	}
	want := min(answers-freeReplyBytes, p.g.options.ReplyBytes)
	if p.reserved = 0; !p.g.replyBudget.reserve(want, p.waitingSince) {
		c.reject(fmt.Sprintf("OVERLOADED not carried out: this node keeps %d bytes of answers that clients have not read, and no room was left for %d more in time",
			p.g.options.ReplyBytes, answers))
		return
	}
	p.reserved, p.waitingSince = want, time.Time{}
}

// write writes the answers that are whole, up to the first that is not. It reports how many, and whether the client takes them.
func (p *pipeline) write(calls []*call) (n int, ok bool) {
	for _, c := range calls {
		if !c.complete() {
			break
		}
		c.write(p.w)
		p.g.stats.commands.Add(1)
		if c.failed() {
			p.g.stats.errors.Add(1)
		}
		if p.g.options.CommandDone != nil {
			p.g.options.CommandDone(c.name, !c.failed())
		}
		c.replies = nil
		if n++; len(p.w.Buffer()) > flushBytes && p.w.Flush() != nil || p.w.out.err != nil {
			return n, false
		}
	}
	return n, true
}
