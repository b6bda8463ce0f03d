package cluster

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/persistence"
)

// configSync keeps the newest config that this node knows, and spreads it. The Member owns it.
type configSync struct {
	node    configNode
	seeds   []string
	router  *actor.PID
	host    *actor.PID
	current *messages.Config // newest one; nil: none is known. Shared, and never changed
}

// configNode is what a configSync uses of its node.
type configNode interface {
	sender
	identity() persistence.Identity
	level() messages.Level
	setConfig(*messages.Config)
	event(actors.Event)
	fail(error)
}

func newConfigSync(n configNode, seeds []string, router, host *actor.PID) *configSync {
	return &configSync{node: n, seeds: seeds, router: router, host: host}
}

// pullTicks is how many ticks apart a node with a config asks for a newer one: pushes may get lost.
const pullTicks = 20

// pull asks one node for a newer config, each time another one: at every tick while this node knows none.
func (s *configSync) pull(ticks uint64, others func() []string) {
	if s.current != nil && ticks%pullTicks != 0 {
		return
	}
	from := others()
	if len(from) == 0 {
		from = slices.DeleteFunc(slices.Clone(s.seeds), func(a string) bool { return a == s.node.address() })
	}
	if len(from) == 0 {
		return
	}
	s.node.send(actor.NewPID(from[int(ticks/pullTicks)%len(from)], memberPath), &messages.ConfigPull{
		HaveVersion: s.current.GetVersion(), ReplyAddress: s.node.address(), ReplyId: memberPath,
	})
}

// onPull answers if this node has a newer config.
func (s *configSync) onPull(p *messages.ConfigPull) {
	if s.current.GetVersion() > p.HaveVersion {
		s.node.send(actor.NewPID(p.ReplyAddress, p.ReplyId), &messages.ConfigPush{Config: s.current})
	}
}

// take makes a config the current one if it is newer and belongs to this node's cluster. It reports whether the config is to be
// published. A config that does not allow this node to go on stops it.
func (s *configSync) take(config *messages.Config) bool {
	id := s.node.identity()
	if config == nil || config.Version <= s.current.GetVersion() || config.ClusterId != id.Cluster {
		return false
	}
	s.current = config
	self := config.FindNode(uint64(id.Node))
	switch has := s.node.level(); {
	case meta.WasRemoved(config, uint64(id.Node)):
		s.node.fail(ErrRemoved)
	case config.FeatureLevel() > has:
		s.node.fail(levelTooOld(has, config.FeatureLevel()))
	case hasLaterEpoch(id, self.GetDirectoryToken(), self.GetEpoch()):
		s.node.fail(ErrOlderCopy)
	default:
		return true
	}
	return false
}

// publish passes the current config to the status board, the network and the Router.
func (s *configSync) publish() {
	s.node.setConfig(s.current)
	s.node.send(s.router, &messages.ConfigPush{Config: s.current})
}

// apply passes the current config to the Host.
func (s *configSync) apply() {
	s.node.send(s.host, applyConfig{s.current})
	s.node.event(ConfigAdopted{Version: s.current.Version, Change: s.current.Change})
}

// push sends the current config to other nodes.
func (s *configSync) push(to []string) {
	for _, address := range to {
		s.node.send(actor.NewPID(address, memberPath), &messages.ConfigPush{Config: s.current})
	}
}

// hasLaterEpoch reports whether a directory's token is this node's and the boot epoch is later than that of its last start. A boot
// epoch is on disk before the first message of a boot, so this node's disk is an older copy then.
func hasLaterEpoch(id persistence.Identity, token, epoch uint64) bool {
	return token == id.Token && epoch > uint64(id.Epoch)
}
