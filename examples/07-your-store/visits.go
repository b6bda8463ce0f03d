package main

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
)

// visit tells that somebody has followed a link.
type visit struct{ link string }

// visits counts visits of all links. Each link has a child of its own.
//
//	receives  from           does
//	visit     HTTP handlers  goes to the link's child
//
// Only Receive touches the map: there is no lock, and handlers do not wait.
type visits struct {
	session *actor.PID // of a client: takes requests, answers *messages.Reply
	after   func(d time.Duration, send func()) (cancel func())
	wrote   func() // hears of each request that was answered; must not block
	links   map[string]*actor.PID
}

func (v *visits) Receive(ctx actor.Context) {
	m, ok := ctx.Message().(visit)
	if !ok {
		return
	}
	if v.links[m.link] == nil {
		v.links[m.link] = ctx.Spawn(actor.PropsFromProducer(func() actor.Actor {
			return &tally{link: m.link, session: v.session, after: v.after, wrote: v.wrote}
		}))
	}
	ctx.Send(v.links[m.link], m)
}

// tally counts the visits of one link. While one request is under way it collects what comes meanwhile, and then writes all of it with
// the next request: the busier the store, the fewer requests it gets.
//
//	receives         from         does
//	visit            visits       counts it, and writes if nothing is under way
//	*messages.Reply  the session  writes what has come meanwhile; what was refused is written later
//	later            itself       writes what was refused
//
// Visits that are not written yet are lost when the process ends.
type tally struct {
	link    string
	session *actor.PID
	after   func(d time.Duration, send func()) (cancel func())
	wrote   func()

	waiting  int64 // visits that no request carries
	underWay int64 // visits that the request under way carries, 0: none is
}

type later struct{}

// refusalPause is how long a refused request waits for its next attempt.
const refusalPause = 100 * time.Millisecond

func (t *tally) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case visit:
		t.waiting++
		t.write(ctx)
	case *messages.Reply:
		t.onReply(ctx, m)
	case later:
		t.waiting, t.underWay = t.waiting+t.underWay, 0
		t.write(ctx)
	}
}

func (t *tally) write(ctx actor.Context) {
	if t.underWay > 0 || t.waiting == 0 {
		return
	}
	t.underWay, t.waiting = t.waiting, 0
	ctx.Request(t.session, &messages.Incr{Key: visitsKey(t.link), By: t.underWay})
}

// onReply does what the code of a reply says. The session has asked again, with the same identity, as long as it could.
func (t *tally) onReply(ctx actor.Context, r *messages.Reply) {
	switch r.Code {
	case messages.Code_OVERLOADED, messages.Code_UNAVAILABLE: // it was not applied
		self, root := ctx.Self(), ctx.ActorSystem().Root
		t.after(refusalPause, func() { root.Send(self, later{}) })
		return
	default: // done; or UNCERTAIN, and then a second request might count the same visits twice: rather too few
		t.underWay = 0
		t.wrote()
		t.write(ctx)
	}
}
