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
	"github.com/eraft-io/eraft/router/fairqueue"
)

// pipeline carries out the commands of one connection. It carries out together as many commands as the reply budget has room
// for, and the next ones when the replies of these are in the socket: for a client that does not read nothing is done.
//
// The size of a reply is estimated. A read with a larger result gets its size instead of the result, and is carried out again
// when the budget has room for that. A connection that waits for budget holds none: it discards what it has read for later
// commands, which no client has seen yet. So connections cannot wait for one another.
type pipeline struct {
	g        *Gateway
	w        *writer
	reserved int                 // bytes of the Gateway's reply budget that the connection holds
	estimate router.SizeEstimate // of the replies to reads
	place    fairqueue.Place     // of the connection among those that wait for reply budget
}

const (
	maxBatch          = 1024      // commands of a connection, or operations of one command, that are carried out at once
	freeReplyBytes    = 16 << 10  // bytes of a connection's replies that need no budget
	batchReplyBytes   = 1 << 20   // bytes of a connection's replies at once; a single larger one comes alone
	defaultReplyBytes = 64 << 20  // reply budget of all connections
	socketBufferBytes = 512 << 10 // of replies in the kernel, per connection
)

// serve answers the commands of a connection until it ends.
func (g *Gateway) serve(conn net.Conn, cl *client) {
	defer g.unregister(conn) // the connection as it was accepted
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(socketBufferBytes) // else the kernel takes megabytes that nobody reads; a refusal does no harm
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
		var violation errProtocol
		if errors.As(err, &violation) {
			p.w.WriteError(violation.Error())
		}
		if gone := p.w.Flush(); quit || err != nil || gone != nil {
			return
		}
		p.setReserved(0)
		if cap(p.w.Buffer()) > maxBuffer {
			p.w.SetBuffer(nil) // a large reply is no reason to keep so much for the next
		}
	}
}

// readBatch waits for a command, and takes the commands along that are pipelined behind it.
func readBatch(r *reader) (batch []rawCommand, err error) {
	for more := true; more && len(batch) < maxBatch; {
		var c rawCommand
		if c, more, err = r.next(len(batch) == 0); more {
			batch = append(batch, c)
		}
	}
	return batch, err
}

// execute carries out a batch, and writes the replies. It calls release when the commands' bytes are no longer needed. It
// reports whether the connection is to end.
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
		release(!strings.HasPrefix(now[0].failure(), errorWord(messages.Code_OVERLOADED))) // only the first can hold budget
		written, ok := p.write(now)
		if !ok {
			return true
		}
		calls = calls[written:]
	}
	return quit
}

// start starts as many of the calls as may run at once, one at least, and gives their number.
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

// independent gives the number of calls that may run at once, and the budget in bytes that their replies need. Two calls that
// touch the same key may not, unless both only read it.
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
		unknown = unknown || !p.estimate.Known() && slices.ContainsFunc(c.ops, returnsReadValue) // the first shows how large the others may be
	}
	return n, need
}

// setReserved makes the reserved budget what replies of that many bytes need. It does not block, and reports whether there was
// budget; if not, the reservation is as before. A connection that gets budget no longer waits; one that needs none keeps its place.
func (p *pipeline) setReserved(replies int) bool {
	want := min(max(0, replies-freeReplyBytes), p.g.options.ReplyBytes)
	if want > p.reserved && !p.g.replyBudget.tryReserve(want-p.reserved) {
		return false
	}
	if want < p.reserved {
		p.g.replyBudget.release(p.reserved - want)
	}
	if p.reserved = want; want > 0 {
		p.place.Served()
	}
	return true
}

// waitForBudget waits for the budget that a call needs, or refuses the call.
func (p *pipeline) waitForBudget(c *call, replies int) {
	p.g.replyBudget.release(p.reserved)
	p.reserved = 0
	want := min(replies-freeReplyBytes, p.g.options.ReplyBytes)
	if !p.g.replyBudget.reserve(want, &p.place) {
		c.reject(fmt.Sprintf("OVERLOADED not carried out: this node keeps up to %d bytes of replies that clients have not read, and there was no room for %d more in time",
			p.g.options.ReplyBytes, replies))
		return
	}
	p.reserved = want
	p.place.Served()
}

// write writes the replies of complete calls, up to the first call that is not. It gives their number, and reports whether the
// client takes them.
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
