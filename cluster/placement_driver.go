package cluster

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/meta/placement"
)

// placementDriver turns placement.Plan into committed configs while this node leads group 0: it proposes one step at a time. The Member
// owns it.
type placementDriver struct {
	node   placementNode
	status *statusBoard
	placementOptions

	inFlight       bool            // a step was proposed and has no reply yet
	ledSince       time.Duration   // when this node was first seen to lead group 0; 0: it does not lead it
	bootstrapTicks uint64          // ticks since then without a config
	sizes          placement.Sizes // of buckets, as nodes have reported them
	nextMeasure    time.Duration   // when to ask for sizes again
}

type placementOptions struct {
	replaceAfter time.Duration         // Config.ReplaceAfter
	unevenBytes  uint64                // Config.UnevenBytes
	onPropose    func()                // is called before a step is proposed
	answer       func(*messages.Reply) // takes the reply to a step, on the Session's goroutine
}

// placementNode is what a placementDriver uses of its node.
type placementNode interface {
	sender
	now() time.Duration
	level() messages.Level
	pledged(node uint64) messages.Level
	peer(messages.GroupID) *actor.PID
	bootstrapRecord() *messages.Bootstrap
	request(op proto.Message, done func(*messages.Reply))
}

const (
	// maxPlanSteps bounds the steps of placement that are shown to people.
	maxPlanSteps = 200
	// measureInterval is how often the leader of group 0 asks for the sizes of buckets: sizes matter when they have changed by much.
	measureInterval = 20 * time.Second
	// bootstrapRetryTicks is how many ticks apart the bootstrap record is proposed again until there is a config.
	bootstrapRetryTicks = 5
)

func newPlacementDriver(n placementNode, status *statusBoard, o placementOptions) *placementDriver {
	return &placementDriver{node: n, status: status, placementOptions: o}
}

// drive proposes the next step: the bootstrap record, a higher feature level, or a step of placement.Plan. seq is the Seq of messages that
// ask for sizes; others returns the addresses of the other nodes.
func (d *placementDriver) drive(config *messages.Config, seq uint64, others func() []string) {
	if !d.status.leads(messages.Meta) {
		d.ledSince, d.sizes, d.nextMeasure = 0, placement.Sizes{}, 0
		return
	}
	if d.ledSince == 0 {
		d.ledSince = d.node.now()
	}
	if config != nil {
		d.measureSizes(seq, others)
	}
	if d.inFlight {
		return
	}
	if config == nil {
		// Only the node that has bootstrapped the cluster can lead group 0 before there is a config.
		d.proposeBootstrap()
		return
	}
	if raise := meta.RaiseLevel(config, d.node.pledged); raise != nil {
		d.propose(raise)
	} else if plan := placement.Plan(config, d.clusterState()); len(plan) > 0 {
		d.propose(plan[0])
	}
}

// measureSizes asks all nodes for the sizes of the buckets that they lead, every measureInterval.
func (d *placementDriver) measureSizes(seq uint64, others func() []string) {
	now := d.node.now()
	if now < d.nextMeasure {
		return
	}
	d.nextMeasure = now + measureInterval
	pull := &messages.StatusPull{Seq: seq, ReplyAddress: d.node.address(), ReplyId: memberPath, Sizes: true}
	for _, address := range append(others(), d.node.address()) {
		d.node.send(actor.NewPID(address, memberPath), pull)
	}
}

// onSizes takes sizes of buckets that a node has reported.
func (d *placementDriver) onSizes(config *messages.Config, sizes []*messages.BucketSize) {
	if len(sizes) > 0 {
		d.sizes.Observe(config, sizes)
	}
}

// clusterState returns what placement must know beside the config.
func (d *placementDriver) clusterState() placement.ClusterState {
	s := d.status.snapshot()
	return placement.ClusterState{
		Alive: func(id uint64) bool { return s.alive(messages.NodeID(id)) },
		Full:  func(id uint64) bool { return s.lowSpace(messages.NodeID(id)) },
		Lost: func(id uint64) bool {
			return d.status.silentFor(messages.NodeID(id), d.ledSince) > d.replaceAfter
		},
		Settled:     func(id uint64) bool { return s.membershipSettled(messages.GroupID(id)) },
		BucketBytes: d.sizes.BucketBytes(), UnevenBytes: d.unevenBytes,
	}
}

// publishPlan shows on the status board what placement would do, while this node leads group 0.
func (d *placementDriver) publishPlan(config *messages.Config) {
	if config == nil || !d.status.leads(messages.Meta) {
		d.status.setPlan(nil)
		return
	}
	state := d.clusterState()
	s := d.status.snapshot()
	d.status.setPlan(&messages.PlacementStatus{
		ConfigVersion: config.Version, Steps: meta.Simulate(config, state, maxPlanSteps),
		Idle: len(placement.Plan(config, state)) == 0 && !s.changesPending(config) &&
			s.commonLevel(config, d.node.level()) == config.FeatureLevel(),
		Sizes: d.sizes.GroupSizes(config),
	})
}

// proposeBootstrap proposes the bootstrap record to this node's own replica of group 0: there is no config yet that a session could
// follow. The chain takes it once; it is proposed again until there is a config.
func (d *placementDriver) proposeBootstrap() {
	encoded, err := proto.Marshal(&messages.Command{Op: &messages.Command_Meta{Meta: &messages.MetaCommand{
		Op: &messages.MetaCommand_Bootstrap{Bootstrap: d.node.bootstrapRecord()},
	}}})
	if d.bootstrapTicks++; err == nil && d.bootstrapTicks%bootstrapRetryTicks == 1 {
		d.node.send(d.node.peer(messages.Meta), &messages.Requests{Sessions: []*messages.SessionRequests{{Commands: [][]byte{encoded}}}})
	}
}

func (d *placementDriver) propose(command *messages.MetaCommand) {
	d.inFlight = true
	d.onPropose()
	d.node.request(command, d.answer)
}

// placementAnswered is the reply to a step of placement.
type placementAnswered struct{ reply *messages.Reply }

// onReply ends the step in flight and returns the config that it has created, nil if it has created none.
func (d *placementDriver) onReply(r *messages.Reply) *messages.Config {
	d.inFlight = false
	if r.GetCode() != messages.Code_OK {
		return nil
	}
	return r.GetMeta().GetConfig()
}
