package gateway

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// call is one command in progress: the operations that it sends, and how it writes their replies.
type call struct {
	name        string
	fullName    string // with the subcommand: "client|list"
	keys        []string
	writes      bool
	quit        bool
	resp3       bool // protocol of the reply
	ops         []proto.Message
	steps       func() // instead of ops: sends several rounds of operations; such a call runs alone
	bytes       int    // upper bound of the reply's bytes, for steps
	refused     string // error text to reply with, instead of anything else; "": none
	replies     []*messages.Reply
	replySizes  []int // bytes of replies that exceeded their budget, or that were discarded; 0: not known
	outstanding sync.WaitGroup
	render      func(*writer, []*messages.Reply)
}

const (
	plainReply = 192     // bytes of a reply without a value
	smallReply = 4 << 10 // smallest budget of a read
	maxReply   = 8 << 20 // bytes of the reply to one command
	valueReply = messages.MaxValueBytes + plainReply
)

// refuseWhileLoading refuses a command that needs data with LOADING, as long as no data can be reached.
func (c *call) refuseWhileLoading(loading func() string) {
	if loading == nil || len(c.ops) == 0 && c.steps == nil {
		return
	}
	if why := loading(); why != "" {
		c.reject("LOADING " + why)
	}
}

// reject makes an error text the reply.
func (c *call) reject(why string) {
	c.refused, c.keys, c.ops, c.steps, c.replies = why, nil, nil, nil, nil
}

// returnsReadValue reports whether an operation returns a value and may be sent again with a larger budget.
func returnsReadValue(op proto.Message) bool {
	get, ok := op.(*messages.Get)
	return ok && !get.MetaOnly
}

// opReplyBytes is the budget for the reply to an operation: its size if that is known; else the estimate for a read, and the upper
// bound for a write.
func (c *call) opReplyBytes(i, guess int) int {
	switch op := c.ops[i]; {
	case c.replies != nil && c.replies[i] != nil:
		return messages.ReplyBytes(c.replies[i])
	case c.replySizes != nil && c.replySizes[i] > 0:
		return c.replySizes[i] + c.replySizes[i]/16 // the value may grow meanwhile
	case returnsReadValue(op):
		return max(plainReply, min(max(guess, smallReply), maxReply/len(c.ops)))
	case returnsPreviousValue(op):
		return valueReply
	}
	return plainReply
}

// returnsPreviousValue reports whether a write returns the value that the key had.
func returnsPreviousValue(op proto.Message) bool {
	previous, ok := op.(interface{ GetPrevious() bool })
	return ok && previous.GetPrevious()
}

// replyBytes is the budget for all replies of the call.
func (c *call) replyBytes(guess int) int {
	n := c.bytes
	for i := range c.ops {
		n += c.opReplyBytes(i, guess)
	}
	return n
}

// exclusive reports whether the call must run alone: it sends several rounds, or needs budget for a value of any size.
func (c *call) exclusive() bool {
	return c.steps != nil || slices.ContainsFunc(c.ops, returnsPreviousValue)
}

// start sends the operations that have no reply yet. It returns before the replies are there, unless there are more operations
// than may be sent at once: then it waits for those before, and does not send the rest if one of them was refused.
func (c *call) start(g *Gateway, guess int) {
	if c.replies == nil {
		c.replies = make([]*messages.Reply, len(c.ops))
	}
	for first := 0; first < len(c.ops); first += maxBatch {
		if first > 0 {
			c.wait()
			if c.anyRefused() {
				c.skipFrom(first)
				return
			}
		}
		for i := first; i < min(first+maxBatch, len(c.ops)); i++ {
			c.send(g, i, guess)
		}
	}
}

// anyRefused reports whether an operation was refused for another reason than its reply budget.
func (c *call) anyRefused() bool {
	return slices.ContainsFunc(c.replies, func(r *messages.Reply) bool {
		return r.GetCode() != messages.Code_OK && r.GetCode() != messages.Code_CONFLICT && r.NeededBytes == 0
	})
}

// skipFrom answers the operations that are not sent because an earlier one was refused.
func (c *call) skipFrom(first int) {
	for i := first; i < len(c.ops); i++ {
		c.replies[i] = &messages.Reply{Code: messages.Code_OVERLOADED, Text: "not sent: another key of the command was refused"}
	}
}

func (c *call) send(g *Gateway, i, guess int) {
	if c.replies[i] != nil {
		return
	}
	room := 0
	if returnsReadValue(c.ops[i]) {
		room = c.opReplyBytes(i, guess)
	}
	c.outstanding.Add(1)
	g.options.Backend.Ask(c.ops[i], g.options.Timeout, room, func(r *messages.Reply) {
		c.replies[i] = r
		c.outstanding.Done()
	})
}

func (c *call) wait() { c.outstanding.Wait() }

// observeSizes learns from the sizes of the replies. Reads whose results exceeded their budgets are discarded, to be sent again.
func (c *call) observeSizes(guess *router.SizeEstimate) {
	if c.steps != nil {
		return
	}
	total := 0
	for i, r := range c.replies {
		switch {
		case r == nil || !returnsReadValue(c.ops[i]):
		case r.Code == messages.Code_OVERLOADED && r.NeededBytes > 0:
			guess.Observe(int(r.NeededBytes))
			c.discardReply(i, int(r.NeededBytes))
			total += int(r.NeededBytes)
		case r.Code == messages.Code_OK:
			bytes := messages.ReplyBytes(r)
			if c.replySizes == nil || c.replySizes[i] == 0 {
				guess.Observe(bytes)
			}
			total += bytes
		}
	}
	if total > maxReply {
		c.reject(fmt.Sprintf("ERR the answer has %d bytes; %d are the most: ask for fewer keys", total, maxReply))
	}
}

func (c *call) discardReply(i, size int) {
	if c.replySizes == nil {
		c.replySizes = make([]int, len(c.ops))
	}
	c.replySizes[i], c.replies[i] = size, nil
}

// complete reports whether every operation has its reply.
func (c *call) complete() bool { return !slices.Contains(c.replies, nil) }

// discardReads discards what was read: it is read again later.
func (c *call) discardReads() {
	for i, r := range c.replies {
		if r != nil && returnsReadValue(c.ops[i]) && r.Code == messages.Code_OK {
			c.discardReply(i, messages.ReplyBytes(r))
		}
	}
}

func (c *call) failed() bool { return c.failure() != "" }

// failure is the error text to reply with; "": all operations were carried out. A condition that did not hold is a result, not a
// failure. Of several writes all may be refused; if only some are, or if it is not known of one, the command is UNCERTAIN.
func (c *call) failure() string {
	if c.refused != "" {
		return c.refused
	}
	var failed *messages.Reply
	written, unknown := 0, 0
	for _, r := range c.replies {
		if r == nil {
			continue // it will be sent again
		}
		switch r.Code {
		case messages.Code_OK:
			written++
			continue
		case messages.Code_CONFLICT:
			continue
		case messages.Code_UNCERTAIN, messages.Code_REPLY_DISCARDED:
			unknown++
		}
		if failed == nil || failed.Code != messages.Code_UNCERTAIN && r.Code == messages.Code_UNCERTAIN {
			failed = r
		}
	}
	switch {
	case failed == nil:
		return ""
	case c.writes && len(c.replies) > 1 && written+unknown > 0:
		return fmt.Sprintf("%s %d of %d keys were written, of %d it is not known; of the others the first: %s",
			errorWord(messages.Code_UNCERTAIN), written, len(c.replies), unknown, ErrorText(failed))
	}
	return ErrorText(failed)
}

func (c *call) write(w *writer) {
	w.resp3 = c.resp3
	if text := c.failure(); text != "" {
		w.WriteError(text)
		return
	}
	c.render(w, c.replies)
}

// ErrorText is a refusal in RESP: its first word says what the client may do next.
func ErrorText(r *messages.Reply) string {
	text := strings.Map(func(c rune) rune {
		if c == '\r' || c == '\n' {
			return ' '
		}
		return c
	}, r.Text)
	return errorWord(r.Code) + " " + text
}

// errorWord gives the first word of an error. ERR: invalid, not applied. TRYAGAIN, CLUSTERDOWN and OVERLOADED: not applied.
// UNCERTAIN: may have been applied. LOADING, for which there is no code, is not applied either: see call.refuseWhileLoading.
func errorWord(code messages.Code) string {
	switch code {
	case messages.Code_NOT_LEADER, messages.Code_WRONG_GROUP:
		return "TRYAGAIN"
	case messages.Code_OVERLOADED:
		return "OVERLOADED"
	case messages.Code_UNAVAILABLE:
		return "CLUSTERDOWN"
	case messages.Code_UNCERTAIN, messages.Code_REPLY_DISCARDED:
		return "UNCERTAIN"
	}
	return "ERR"
}
