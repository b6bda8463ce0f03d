package actortest

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// remoteWatch is a watch of an actor on another node by one of this incarnation.
type remoteWatch struct {
	who     *actor.PID
	watcher string       // path
	there   *incarnation // the incarnation of the other node when the watch began; nil: it did not run
}

// defaultBrokenAfter is how long it takes by default until a node notices that a connection is broken.
const defaultBrokenAfter = 5 * time.Second

// SetBrokenAfter sets how long it takes until a node notices that it cannot reach another one, because that one has crashed or the link is
// cut: the actors that it watches there then count as terminated, with TerminatedReason_AddressTerminated. Default 5 s.
func (n *Network) SetBrokenAfter(after time.Duration) { n.brokenAfter = after }

// noteWatch notes what a message about watching means for the node that sends it.
func (l *incarnation) noteWatch(target *actor.PID, message any) {
	switch m := message.(type) {
	case *actor.Watch:
		l.dropWatch(target, m.Watcher.Id)
		x := &remoteWatch{who: copyPID(target), watcher: m.Watcher.Id}
		if to := l.node.w.nodes[target.Address]; to != nil && to.Alive() {
			x.there = to.incarnation
		}
		l.watches = append(l.watches, x)
		if !l.reaches(x) {
			l.checkWatch(x)
		}
	case *actor.Unwatch:
		l.dropWatch(target, m.Watcher.Id)
	}
}

// dropWatch is the end of a watch.
func (l *incarnation) dropWatch(who *actor.PID, watcher string) {
	l.watches = slices.DeleteFunc(l.watches, func(x *remoteWatch) bool { return x.watcher == watcher && x.who.Equal(who) })
}

// reaches tells whether the connection stands over which a watch began.
func (l *incarnation) reaches(x *remoteWatch) bool {
	n, here, there := l.node.w.net, l.node.address, x.who.Address
	return x.there != nil && !x.there.dead && !n.isolated[link{here, there}] && !n.isolated[link{there, here}]
}

// checkWatch checks after a while whether a connection is broken.
func (l *incarnation) checkWatch(x *remoteWatch) {
	w := l.node.w
	w.At(w.now+w.net.brokenAfter, func() {
		if l.dead || l.reaches(x) || !slices.Contains(l.watches, x) {
			return
		}
		l.watches = slices.DeleteFunc(l.watches, func(other *remoteWatch) bool { return other == x })
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
		for _, x := range node.incarnation.watches {
			if !node.incarnation.reaches(x) {
				node.incarnation.checkWatch(x)
			}
		}
	}
}
