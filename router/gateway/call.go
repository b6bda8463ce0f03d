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

// call is one command at work: the operations it asks for and how to write their answers.
type call struct {
	name        string
	fullName    string // with that of a subcommand
	keys        []string
	writes      bool
	quit        bool
	resp3       bool // how it is answered
	ops         []proto.Message
	steps       func() // instead of ops: asks in several steps, alone
	bytes       int    // of the answer of work, at most
	refused     string // an error to answer at once instead
	replies     []*messages.Reply
	replySizes  []int // of answers that were larger than the room for them, or that were given up; 0: not known
	outstanding sync.WaitGroup
	render      func(*writer, []*messages.Reply)
}

const (
	plainReply = 192     // of an operation that answers with no value
	smallReply = 4 << 10 // of a read, however small they were lately
	maxReply   = 8 << 20 // of one command
	valueReply = messages.MaxValueBytes + plainReply
)

// refuse answers what needs data with LOADING as long as there is none to reach.
func (c *call) refuseWhileLoading(loading func() string) {
	if loading == nil || len(c.ops) == 0 && c.steps == nil {
		return
	}
	if why := loading(); why != "" {
		c.reject("LOADING " + why)
	}
}

// reject answers an error instead of anything else.
func (c *call) reject(why string) {
	c.refused, c.keys, c.ops, c.steps, c.replies = why, nil, nil, nil, nil
}

// reads tells of an operation that answers with a value and may be asked again for it.
func returnsReadValue(op proto.Message) bool {
	get, ok := op.(*messages.Get)
	return ok && !get.MetaOnly
}

// needs is the room for the answer of an operation: its size if that is known, else the guess for a read, and the most that
// there can be for a write.
func (c *call) opReplyBytes(i, guess int) int {
	switch op := c.ops[i]; {
	case c.replies != nil && c.replies[i] != nil:
		return messages.ReplyBytes(c.replies[i])
	case c.replySizes != nil && c.replySizes[i] > 0:
		return c.replySizes[i] + c.replySizes[i]/16 // others may write it meanwhile
	case returnsReadValue(op):
		return max(plainReply, min(max(guess, smallReply), maxReply/len(c.ops)))
	case returnsPreviousValue(op):
		return valueReply
	}
	return plainReply
}

// returnsPreviousValue tells of a write that answers with what was there.
func returnsPreviousValue(op proto.Message) bool {
	previous, ok := op.(interface{ GetPrevious() bool })
	return ok && previous.GetPrevious()
}

// need is the room for all that the call answers.
func (c *call) replyBytes(guess int) int {
	n := c.bytes
	for i := range c.ops {
		n += c.opReplyBytes(i, guess)
	}
	return n
}

// alone tells of a call that is carried out with no other at the same time: it asks in steps, or needs room for a value
// whatever it will be.
func (c *call) exclusive() bool {
	return c.steps != nil || slices.ContainsFunc(c.ops, returnsPreviousValue)
}

// run asks for what is not answered yet, and returns before the answers are there unless they are too many to be asked for
// at once. What is not known to be written when some of a command was refused is not tried any more.
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

// anyRefused tells whether an operation was refused, but for those that need more room.
func (c *call) anyRefused() bool {
	return slices.ContainsFunc(c.replies, func(r *messages.Reply) bool {
		return r.GetCode() != messages.Code_OK && r.GetCode() != messages.Code_CONFLICT && r.NeededBytes == 0
	})
}

// skipFrom answers what was not sent because some of the command before was refused.
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

// learn notes the sizes of answers. Those that were larger than the room for them are to be asked for again.
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

// whole tells whether all that was asked for is there.
func (c *call) complete() bool { return !slices.Contains(c.replies, nil) }

// drop gives up what has been read: it is asked for again.
func (c *call) discardReads() {
	for i, r := range c.replies {
		if r != nil && returnsReadValue(c.ops[i]) && r.Code == messages.Code_OK {
			c.discardReply(i, messages.ReplyBytes(r))
		}
	}
}

func (c *call) failed() bool { return c.failure() != "" }

// failure is the error to write; "" if all operations were carried out. A condition that did not hold is an answer, not a
// failure. Of several writes, all may be refused; if only some are, or of one it is not known, the command is UNCERTAIN.
func (c *call) failure() string {
	if c.refused != "" {
		return c.refused
	}
	var failed *messages.Reply
	written, unknown := 0, 0
	for _, r := range c.replies {
		if r == nil {
			continue // to be asked for again
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

// ErrorText is a refusal as RESP says it: the first word tells what to do next.
func ErrorText(r *messages.Reply) string {
	text := strings.Map(func(c rune) rune {
		if c == '\r' || c == '\n' {
			return ' '
		}
		return c
	}, r.Text)
	return errorWord(r.Code) + " " + text
}

// word: ERR is wrong and not applied, TRYAGAIN, CLUSTERDOWN and OVERLOADED are not applied, UNCERTAIN may be; the text of
// REPLY_DISCARDED says whether it was. LOADING, which no code stands for, is not applied either: see call.refuse.
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
