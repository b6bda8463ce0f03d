package cluster

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
)

// fail stops the node by itself, since an invariant is broken or the disk has failed. It replies to no request from now on. The first
// call counts. Safe for concurrent use.
func (n *node) fail(err error) {
	if err == nil || !n.failure.CompareAndSwap(nil, &err) {
		return
	}
	if n.system != nil {
		n.system.Events(Stopped{Reason: err})
	}
	if n.config.Overrides.Fatal != nil {
		n.config.Overrides.Fatal(err)
		return
	}
	go func() {
		if stopped := n.stop(false); stopped != nil {
			n.config.Logger.Error("stop after failure", "error", stopped)
		}
	}()
}

// stop ends the node, once: listeners, actors, engines, the lock on the directory. graceful: it transfers leaderships first.
func (n *node) stop(graceful bool) (err error) {
	n.stopOnce.Do(func() {
		err = n.listeners.close()
		if graceful {
			n.transferLeaderships()
		}
		if n.client != nil {
			err = errors.Join(err, n.client.Close())
		}
		if n.system != nil {
			err = errors.Join(err, n.network.Detach(), n.stopActors())
		}
		for _, engine := range []persistence.Engine{n.logEngine, n.stateEngine} {
			if engine != nil {
				err = errors.Join(err, engine.Close())
			}
		}
		if n.lock != nil {
			err = errors.Join(err, n.lock.Unlock())
		}
		close(n.done)
	})
	return err
}

// transferLeaderships transfers the leadership of every group that this node leads, waits up to transferTimeout until other nodes lead
// them, and reports groups that no other node can lead.
func (n *node) transferLeaderships() {
	var led []messages.GroupID // groups without another leader so far
	s := n.status.snapshot()
	for _, group := range slices.Sorted(maps.Keys(s.replicas)) {
		if !n.status.leads(group) || len(s.replicas[group].Conf.GetVoters()) < 2 {
			continue
		}
		led = append(led, group)
		to, able := s.transferee(group)
		if !able {
			n.system.Events(TransferFailed{Group: group, Why: "no other replica has caught up"})
		}
		n.send(n.peer(group), raftactor.TransferLeadership{To: to})
	}
	for deadline := n.system.Clock.Now() + transferTimeout; len(led) > 0; {
		if n.system.Clock.Now() >= deadline {
			for _, group := range led {
				n.system.Events(TransferFailed{Group: group, Why: "nobody has taken over in time"})
			}
			return
		}
		<-time.After(20 * time.Millisecond)
		s := n.status.snapshot()
		led = slices.DeleteFunc(led, func(group messages.GroupID) bool {
			leader := s.replicas[group].GetLeader()
			return leader != 0 && leader != uint64(s.identity.Node)
		})
	}
}

// stopActors stops the actors one after the other, those that write to the engines last: no actor writes to a closed engine.
func (n *node) stopActors() error {
	var err error
	stop := func(pid *actor.PID) {
		if pid != nil {
			err = errors.Join(err, n.system.Root.StopFuture(pid).Wait())
		}
	}
	stop(n.pids.member)
	stop(n.pids.host)
	stop(n.pids.ticker)
	groups := n.status.snapshot().replicas
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		if group != messages.Meta {
			stop(actor.NewPID(n.address(), migratorPath(group)))
		}
		err = errors.Join(err, raftactor.Stop(n.system, group))
	}
	stop(n.pids.writer)
	stop(n.pids.logReader)
	stop(n.pids.stateWriter)
	stop(n.pids.stateSyncer)
	return err
}
