package actortest

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// watched is an actor on another node that one of this life's watches.
type watched struct {
	who     *actor.PID
	watcher string // path
	there   *life  // whom the node that it is on was when the watch began; nil: nobody
}

// brokenAfter is how long it takes by default until a node notices that a connection is broken.
const brokenAfter = 5 * time.Second

// Broken changes how long it takes until a node notices that it cannot reach another one, because that one crashed or the link is cut:
// what its actors watch there is then terminated for them, as TerminatedReason_AddressTerminated. Default 5 s.
func (n *Network) Broken(after time.Duration) { n.broken = after }

// watch notes what a message about watching means for the node that sends it.
func (l *life) watch(target *actor.PID, message any) {
	switch m := message.(type) {
	case *actor.Watch:
		l.forget(target, m.Watcher.Id)
		x := &watched{who: copyPID(target), watcher: m.Watcher.Id}
		if to := l.node.w.nodes[target.Address]; to != nil && to.Alive() {
			x.there = to.life
		}
		l.watches = append(l.watches, x)
		if !l.reaches(x) {
			l.doubt(x)
		}
	case *actor.Unwatch:
		l.forget(target, m.Watcher.Id)
	}
}

// forget is the end of a watch.
func (l *life) forget(who *actor.PID, watcher string) {
	l.watches = slices.DeleteFunc(l.watches, func(x *watched) bool { return x.watcher == watcher && x.who.Equal(who) })
}

// reaches tells whether the connection stands over which a watch began.
func (l *life) reaches(x *watched) bool {
	n, here, there := l.node.w.net, l.node.address, x.who.Address
	return x.there != nil && !x.there.dead && !n.isolated[link{here, there}] && !n.isolated[link{there, here}]
}

// doubt looks after a while whether a connection is broken.
func (l *life) doubt(x *watched) {
	w := l.node.w
	w.At(w.now+w.net.broken, func() {
		if l.dead || l.reaches(x) || !slices.Contains(l.watches, x) {
			return
		}
		l.watches = slices.DeleteFunc(l.watches, func(other *watched) bool { return other == x })
		process, _ := l.system.ProcessRegistry.GetLocal(x.watcher)
		process.SendSystemMessage(actor.NewPID(l.node.address, x.watcher),
			&actor.Terminated{Who: copyPID(x.who), Why: actor.TerminatedReason_AddressTerminated})
	})
}

// broke is called when connections may have broken.
func (n *Network) broke() {
	for _, node := range n.w.order {
		if !node.Alive() {
			continue
		}
		for _, x := range node.life.watches {
			if !node.life.reaches(x) {
				node.life.doubt(x)
			}
		}
	}
}
