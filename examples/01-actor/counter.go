package main

import (
	"os"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
)

// What a counter and a journal take. A message is never changed once it is sent: sender and receiver share it.
type (
	add    struct{ by int }
	get    struct{}
	broken struct{}
	line   struct {
		text    string
		written chan<- error // gets one value, nil when the line is on the disk; has room for it
	}
)

// counter adds up.
//
//	receives  from     does
//	add       anybody  adds
//	get       anybody  answers the total, an int
//	broken    anybody  panics, as a bug would make it
type counter struct{ total int }

func (c *counter) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case add:
		c.total += m.by
	case get:
		ctx.Respond(c.total)
	case broken:
		panic("a bug")
	}
}

// journal writes lines to a file, and acknowledges them when they are on the disk.
//
//	receives  from     does
//	line      anybody  writes it
//	[]any     mailbox  the same for all lines that wait, with one sync: a group commit
//
// package persistence's Writer is this actor with Raft's logs for lines.
type journal struct {
	file  *os.File
	syncs int
}

func (j *journal) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case line:
		j.write([]line{m})
	case []any:
		var lines []line
		for _, element := range m {
			if message, _ := actors.Unwrap(element); message != nil {
				if l, ok := message.(line); ok {
					lines = append(lines, l)
				}
			}
		}
		j.write(lines)
	}
}

// write makes lines durable with one sync, and only then acknowledges them.
func (j *journal) write(lines []line) {
	if len(lines) == 0 {
		return
	}
	var err error
	for _, l := range lines {
		if err == nil {
			_, err = j.file.WriteString(l.text)
		}
	}
	if err == nil {
		err = j.file.Sync()
	}
	j.syncs++
	for _, l := range lines {
		l.written <- err
	}
}
