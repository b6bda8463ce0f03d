package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/router"
)

// testNode is node 1 of cluster 7 at h1, as the parts of a Member see it. It keeps what they send, request and report.
type testNode struct {
	id       persistence.Identity
	time     time.Duration
	own      messages.Level
	pledges  map[uint64]messages.Level
	config   *messages.Config
	sent     []sentMessage
	requests []proto.Message
	replies  []func(*messages.Reply)
	events   []actors.Event
	failures []error
}

type sentMessage struct {
	to      string // address/path
	message any
}

func newTestNode() *testNode {
	return &testNode{id: persistence.Identity{Name: "n1", Token: 11, Cluster: 7, Node: 1, Epoch: 5}, own: messages.NewestLevel, time: time.Hour}
}

func (n *testNode) address() string                { return "h1" }
func (n *testNode) replyAddress() string           { return "h1" }
func (n *testNode) now() time.Duration             { return n.time }
func (n *testNode) identity() persistence.Identity { return n.id }
func (n *testNode) level() messages.Level          { return n.own }
func (n *testNode) pledged(node uint64) messages.Level {
	return max(messages.FirstLevel, n.pledges[node])
}
func (n *testNode) setConfig(config *messages.Config)    { n.config = config }
func (n *testNode) event(e actors.Event)                 { n.events = append(n.events, e) }
func (n *testNode) fail(err error)                       { n.failures = append(n.failures, err) }
func (n *testNode) statusJSON(snapshot) []byte           { return []byte("{}") }
func (n *testNode) bootstrapRecord() *messages.Bootstrap { return &messages.Bootstrap{ClusterId: 7} }
func (n *testNode) peer(group messages.GroupID) *actor.PID {
	return actor.NewPID("h1", fmt.Sprint("peer/", uint64(group)))
}
func (n *testNode) nodeInfo() *messages.AddNode {
	return &messages.AddNode{Name: n.id.Name, Address: "h1", DirectoryToken: n.id.Token, Epoch: uint64(n.id.Epoch)}
}
func (n *testNode) send(to *actor.PID, message any) {
	n.sent = append(n.sent, sentMessage{to.Address + "/" + to.Id, message})
}
func (n *testNode) request(op proto.Message, done func(*messages.Reply)) {
	n.requests, n.replies = append(n.requests, op), append(n.replies, done)
}

// take returns what was sent since the last call.
func (n *testNode) take() []sentMessage {
	sent := n.sent
	n.sent = nil
	return sent
}

// board is the status board of the node, which has heard the other nodes of the config.
func (n *testNode) board(config *messages.Config, alive ...messages.NodeID) *statusBoard {
	b := newStatusBoard(n.now)
	b.setIdentity(n.id)
	if config != nil {
		b.setConfig(config)
	}
	for _, id := range alive {
		b.setOther(&messages.NodeStatus{Node: uint64(id), Epoch: 1})
	}
	return b
}

var (
	testHost   = actor.NewPID("h1", "host")
	testRouter = actor.NewPID("h1", "router")
)

// threeNodes is a config of cluster 7 with nodes 1 to 3 at h1 to h3.
func threeNodes(version uint64) *messages.Config {
	c := &messages.Config{ClusterId: 7, Version: version}
	for id := range uint64(3) {
		id++
		c.Nodes = append(c.Nodes, &messages.Node{Id: id, Name: fmt.Sprint("n", id), Address: fmt.Sprint("h", id), DirectoryToken: 10 + id, Epoch: 1})
	}
	c.Nodes[0].Epoch = 5
	return c
}

// Ticks come ten times as seldom when nothing happens, and as often as before when something does. A tick that was replaced does
// not count.
func TestTickTimer(t *testing.T) {
	w := &testClock{}
	var fired []tick
	timer := newTickTimer(w, func(next tick) { fired = append(fired, next) })
	timer.schedule(true)
	for range idleAfter {
		w.pass(tickInterval)
		require.True(t, timer.accept(fired[len(fired)-1], true))
	}
	require.EqualValues(t, idleAfter, timer.ticks)
	w.pass(tickInterval)
	require.Len(t, fired, idleAfter, "ticks are slow now")
	w.pass((slowTicks - 1) * tickInterval)
	require.Len(t, fired, idleAfter+1)
	late := fired[idleAfter]
	timer.wake(true)
	require.False(t, timer.accept(late, true), "wake has replaced it")
	w.pass(tickInterval)
	require.True(t, timer.accept(fired[len(fired)-1], true))
	require.EqualValues(t, idleAfter+1, timer.ticks)

	timer.idle = idleAfter
	timer.schedule(true)
	w.pass(slowTicks * tickInterval)
	require.True(t, timer.accept(fired[len(fired)-1], true))
	require.EqualValues(t, 30, timer.ticks, "a slow tick counts up to a multiple of ten, so that nothing is left out")
	timer.stop()
	count := len(fired)
	w.pass(time.Hour)
	require.Len(t, fired, count)
}

// testClock is a clock in the test's hand, with one timer.
type testClock struct {
	time  time.Duration
	at    time.Duration
	timer func()
}

func (c *testClock) Now() time.Duration { return c.time }
func (c *testClock) Wall() time.Time    { return time.Unix(0, 0) }
func (c *testClock) After(d time.Duration, send func()) func() {
	c.at, c.timer = c.time+d, send
	return func() { c.timer = nil }
}
func (c *testClock) pass(d time.Duration) {
	c.time += d
	if c.timer != nil && c.time >= c.at {
		send := c.timer
		c.timer = nil
		send()
	}
}

// A node without a cluster asks its seeds, and joins the cluster that one of them belongs to, once.
func TestJoiner(t *testing.T) {
	n := newTestNode()
	n.id.Cluster, n.id.Node = 0, 0
	status := n.board(nil)
	self := &messages.BootstrapPeer{DirectoryToken: 11, Name: "n1", Address: "h1", Epoch: 5}
	j := newJoiner(n, status, newDiscovery(self, []string{"h2"}, 1, nil), []string{"h2"}, testHost)
	j.discover(0)
	hello := n.take()
	require.Len(t, hello, 1)
	require.Equal(t, "h2/"+memberPath, hello[0].to)
	require.True(t, hello[0].message.(*messages.Hello).DialedSeed)
	require.Equal(t, []string{"h2"}, status.snapshot().silentSeeds)

	j.onHelloReply(&messages.HelloReply{DirectoryToken: 12, Name: "n2", Address: "h2", DialedAddress: "h2", ClusterId: 7, ToToken: 11, Config: threeNodes(3)})
	join := n.take()
	require.Len(t, join, 1)
	require.EqualValues(t, 7, join[0].message.(*messages.JoinRequest).ClusterId)
	require.EqualValues(t, 1, join[0].message.(*messages.JoinRequest).Node.Replaces, "the config has a node of this name")

	j.onJoinReply(&messages.JoinReply{DirectoryToken: 99, Node: 4, Config: threeNodes(4)})
	require.Empty(t, n.take(), "it is for another directory")
	j.onJoinReply(&messages.JoinReply{DirectoryToken: 11, Text: "no"})
	j.onJoinReply(&messages.JoinReply{DirectoryToken: 11, Text: "no"})
	require.Equal(t, []actors.Event{JoinRefused{"no"}}, n.events, "reported once")
	require.Equal(t, "no", status.snapshot().trouble)
	j.onJoinReply(&messages.JoinReply{DirectoryToken: 11, Node: 4, Config: threeNodes(4)})
	j.onJoinReply(&messages.JoinReply{DirectoryToken: 11, Node: 5, Config: threeNodes(5)})
	saves := n.take()
	require.Len(t, saves, 1, "one identity")
	require.EqualValues(t, 4, saves[0].message.(saveIdentity).node)
	j.complete(false)
	require.True(t, j.joined)
	require.Empty(t, status.snapshot().trouble)
}

// A member whose seed belongs to another cluster says so until it hears a member of its own.
func TestJoinerInTheWrongCluster(t *testing.T) {
	n := newTestNode()
	status := n.board(threeNodes(3))
	j := newJoiner(n, status, newDiscovery(&messages.BootstrapPeer{DirectoryToken: 11}, []string{"h2"}, 1, nil), []string{"h1", "h2"}, testHost)
	j.joined = true
	j.askSeeds()
	require.Len(t, n.take(), 1, "not itself")
	j.onHelloReply(&messages.HelloReply{Address: "h9", DialedAddress: "h2", ClusterId: 8})
	require.Contains(t, status.snapshot().trouble, "the seed h2 (which advertises h9) belongs to cluster 0000000000000008")
	j.onMemberHeard()
	require.Empty(t, status.snapshot().trouble)
	status.setOther(&messages.NodeStatus{Node: 2})
	j.askSeeds()
	require.Empty(t, n.take(), "a member is heard")
}

// A new node is added through group 0, and is told the result. An entry of a node that is alive changes only by the node itself.
func TestAdmission(t *testing.T) {
	n := newTestNode()
	config := threeNodes(3)
	status := n.board(config, 2)
	var refused string
	var a *admission
	a = newAdmission(n, status, func(text string) { refused = text }, func(added nodeAdded) { a.onAdded(added) })
	request := func(node *messages.AddNode, cluster uint64) []sentMessage {
		a.onJoin(&messages.JoinRequest{Node: node, ClusterId: cluster, ReplyAddress: "h4", ReplyId: memberPath}, config)
		return n.take()
	}
	text := func(sent []sentMessage) string {
		require.Len(t, sent, 1)
		require.Equal(t, "h4/"+memberPath, sent[0].to)
		return sent[0].message.(*messages.JoinReply).Text
	}
	require.Contains(t, text(request(&messages.AddNode{DirectoryToken: 44}, 8)), "belongs to cluster 0000000000000007")
	require.Contains(t, text(request(&messages.AddNode{DirectoryToken: 12, Name: "n2", Address: "elsewhere"}, 7)), "is alive at h2")
	require.Empty(t, n.requests)
	require.Empty(t, request(&messages.AddNode{DirectoryToken: 12, Name: "n2", Address: "h2"}, 7), "it asks again: its reply was lost")
	require.Empty(t, request(&messages.AddNode{DirectoryToken: 13, Name: "n3", Address: "elsewhere"}, 7), "node 3 is silent")
	require.Len(t, n.requests, 2)
	n.replies[0](&messages.Reply{Code: messages.Code_OK, Meta: &messages.MetaReply{Node: 4, Config: config}})
	require.EqualValues(t, 4, n.take()[0].message.(*messages.JoinReply).Node)
	n.replies[1](&messages.Reply{Code: messages.Code_UNAVAILABLE, Text: "no leader"})
	require.Equal(t, "the cluster cannot admit a node now, since group 0 does not answer: no leader", text(n.take()))

	config.Nodes[0].Address = "h1"
	a.refresh(config)
	require.Len(t, n.requests, 2, "the config is right")
	config.Nodes[0].Address = "before"
	a.refresh(config)
	a.refresh(config)
	require.Len(t, n.requests, 3, "one at a time")
	n.replies[2](&messages.Reply{Code: messages.Code_CONFLICT, Text: "name is taken"})
	require.Equal(t, "name is taken", refused)
	a.refresh(config)
	require.Len(t, n.requests, 4)
}

// The newest config of the own cluster is taken and spread. One that does not let this node go on stops it.
func TestConfigSync(t *testing.T) {
	n := newTestNode()
	s := newConfigSync(n, []string{"h1", "h9"}, testRouter, testHost)
	s.pull(7, func() []string { return nil })
	require.Equal(t, "h9/"+memberPath, n.take()[0].to, "a node without a config asks a seed, but not itself")
	foreign := threeNodes(9)
	foreign.ClusterId = 8
	require.False(t, s.take(nil))
	require.False(t, s.take(foreign))
	require.True(t, s.take(threeNodes(4)))
	require.False(t, s.take(threeNodes(4)))
	require.False(t, s.take(threeNodes(3)))
	s.publish()
	s.apply()
	s.push([]string{"h2", "h3"})
	require.Equal(t, s.current, n.config)
	require.Len(t, n.take(), 4)
	require.Equal(t, []actors.Event{ConfigAdopted{Version: 4}}, n.events)

	s.pull(pullTicks+1, func() []string { t.Fatal("not now"); return nil })
	s.pull(3*pullTicks, func() []string { return []string{"h2", "h3"} })
	require.Equal(t, "h3/"+memberPath, n.take()[0].to, "each time another one")
	s.onPull(&messages.ConfigPull{HaveVersion: 4, ReplyAddress: "h2", ReplyId: memberPath})
	require.Empty(t, n.take())
	s.onPull(&messages.ConfigPull{HaveVersion: 3, ReplyAddress: "h2", ReplyId: memberPath})
	require.Len(t, n.take(), 1)

	for name, c := range map[string]struct {
		change func(*messages.Config)
		err    error
	}{
		"removed":    {func(c *messages.Config) { c.Nodes[0].Removed = true }, ErrRemoved},
		"too old":    {func(c *messages.Config) { c.Level = uint32(messages.NewestLevel) + 1 }, ErrLevel},
		"older copy": {func(c *messages.Config) { c.Nodes[0].Epoch = 6 }, ErrOlderCopy},
	} {
		t.Run(name, func(t *testing.T) {
			n := newTestNode()
			s := newConfigSync(n, nil, testRouter, testHost)
			config := threeNodes(5)
			c.change(config)
			require.False(t, s.take(config))
			require.Len(t, n.failures, 1)
			require.True(t, errors.Is(n.failures[0], c.err), "%v", n.failures)
		})
	}
}

// A node announces its address until all others have acknowledged it, in their present boot; what it learns it forwards once.
func TestAddressExchange(t *testing.T) {
	n := newTestNode()
	config := threeNodes(3)
	status := n.board(config, 2, 3)
	book := new(router.AddressBook)
	x := newAddressExchange(n, status, book, []string{"h9"}, testRouter)
	x.update(config)
	epochs := map[messages.NodeID]uint64{2: 1, 3: 1}
	announced := func() (to []string) {
		x.announce(config, func(id messages.NodeID) uint64 { return epochs[id] })
		for _, m := range n.take() {
			require.Equal(t, "h1", m.message.(*messages.NodeAddresses).Nodes[0].Address)
			to = append(to, m.to)
		}
		return to
	}
	require.Equal(t, []string{"h2/member", "h3/member"}, announced())
	ack := func(node uint64) {
		x.onAddresses(&messages.NodeAddresses{To: 1, Nodes: []*messages.NodeAddress{
			{Node: node, DirectoryToken: 10 + node, Epoch: epochs[messages.NodeID(node)], Address: fmt.Sprint("h", node)},
		}}, config)
	}
	ack(2)
	ack(3)
	n.take()
	require.Empty(t, announced())
	epochs[3] = 2
	require.Equal(t, []string{"h3/member"}, announced(), "it was restarted, and may have forgotten")
	n.time += aliveTimeout
	require.Equal(t, []string{"h2/member", "h3/member", "h9/member"}, announced(), "who is silent may be elsewhere: a seed may know")

	news := &messages.NodeAddresses{Nodes: []*messages.NodeAddress{{Node: 2, DirectoryToken: 12, Epoch: 9, Address: "h22"}}}
	x.onAddresses(news, config)
	require.Equal(t, "h22", status.address(2))
	sent := n.take()
	require.Equal(t, []string{"h1/router", "h22/member", "h3/member"}, []string{sent[0].to, sent[1].to, sent[2].to})
	x.onAddresses(news, config)
	require.Empty(t, n.take(), "it is known")
	x.onAddresses(&messages.NodeAddresses{Nodes: []*messages.NodeAddress{{Node: 1, DirectoryToken: 11, Epoch: 6, Address: "h1"}}}, config)
	require.Equal(t, []error{ErrOlderCopy}, n.failures)
}

// A status counts unless it is the node's own or of an earlier boot; clients get the document for people as well.
func TestStatusExchange(t *testing.T) {
	n := newTestNode()
	status := n.board(threeNodes(3))
	x := newStatusExchange(n, status)
	x.pull(8, []string{"h2", "h3"})
	require.Len(t, n.take(), 2)
	require.True(t, x.onStatus(&messages.NodeStatus{Node: 2, Epoch: 4, Level: 2}))
	require.False(t, x.onStatus(&messages.NodeStatus{Node: 2, Epoch: 3}), "an earlier boot")
	require.False(t, x.onStatus(&messages.NodeStatus{Node: 1, Epoch: 9}), "its own")
	require.EqualValues(t, 4, x.lastEpoch(2))
	require.EqualValues(t, 2, status.snapshot().others[2].Level)

	status.setReplica(&messages.ReplicaStatus{Group: 3})
	status.setReplica(&messages.ReplicaStatus{Group: 0, Leader: 1})
	status.setPlan(&messages.PlacementStatus{ConfigVersion: 3})
	x.onPull(&messages.StatusPull{Seq: 5, ReplyAddress: "h2", ReplyId: memberPath})
	own := n.take()[0].message.(*messages.NodeStatus)
	require.EqualValues(t, 5, own.Seq)
	require.Empty(t, own.Json)
	require.EqualValues(t, 0, own.Replicas[0].Group, "in order")
	require.NotNil(t, own.Placement, "it leads group 0")
	x.onPull(&messages.StatusPull{ReplyAddress: "c", ReplyId: "session"})
	require.Equal(t, "{}", string(n.take()[0].message.(*messages.NodeStatus).Json))
	x.onSizesMeasured(sizesMeasured{pull: &messages.StatusPull{ReplyAddress: "h2", ReplyId: memberPath}, sizes: []*messages.BucketSize{{Bucket: 1}}})
	require.Len(t, n.take()[0].message.(*messages.NodeStatus).Sizes, 1)
}

// The leader of group 0 proposes one thing at a time: the bootstrap record first, then a level that all have pledged, then the plan.
func TestPlacementDriver(t *testing.T) {
	n := newTestNode()
	status := n.board(nil)
	proposed := 0
	var d *placementDriver
	var adopted *messages.Config
	d = newPlacementDriver(n, status, placementOptions{
		replaceAfter: time.Minute, onPropose: func() { proposed++ },
		answer: func(r *messages.Reply) { adopted = d.onReply(r) },
	})
	others := func() []string { return []string{"h2"} }
	d.drive(nil, 1, others)
	require.Empty(t, n.take(), "it does not lead group 0")
	status.setReplica(&messages.ReplicaStatus{Group: 0, Leader: 1, Conf: &messages.ConfState{Voters: []uint64{1}}})
	for range bootstrapRetryTicks + 1 {
		d.drive(nil, 1, others)
	}
	require.Len(t, n.take(), 2, "now and then, until there is a config")

	config := threeNodes(3)
	config.Nodes, config.Level = config.Nodes[:1], uint32(messages.FirstLevel)
	config.Groups = []*messages.Group{{Id: 0, Nodes: []uint64{1}}}
	status.setConfig(config)
	d.drive(config, 9, others)
	pulls := n.take()
	require.Len(t, pulls, 2, "it asks for sizes")
	require.True(t, pulls[0].message.(*messages.StatusPull).Sizes)
	require.NotEmpty(t, n.requests, "there are no groups yet")
	require.Equal(t, 1, proposed)
	count := len(n.requests)
	d.drive(config, 10, others)
	require.Len(t, n.requests, count, "one at a time")
	require.Empty(t, n.take(), "sizes are asked for seldom")
	n.replies[0](&messages.Reply{Code: messages.Code_UNAVAILABLE})
	require.Nil(t, adopted)
	n.pledges = map[uint64]messages.Level{1: messages.NewestLevel}
	d.drive(config, 11, others)
	require.NotNil(t, n.requests[count].(*messages.MetaCommand).GetRaiseLevel())
	next := threeNodes(4)
	n.replies[count](&messages.Reply{Code: messages.Code_OK, Meta: &messages.MetaReply{Config: next}})
	require.Equal(t, next, adopted)

	d.publishPlan(config)
	require.NotNil(t, status.snapshot().plan)
	status.setReplica(&messages.ReplicaStatus{Group: 0, Leader: 2})
	d.drive(config, 12, others)
	require.Zero(t, d.ledSince)
	d.publishPlan(config)
	require.Nil(t, status.snapshot().plan)
}

// Commands that depend on which nodes are alive are refused before the log.
func TestProposalChecks(t *testing.T) {
	n := newTestNode()
	config := threeNodes(3)
	config.Groups = []*messages.Group{{Id: 7, Nodes: []uint64{1, 2, 3}}}
	status := n.board(config, 2)
	n.time += time.Minute // node 3 was never heard
	status.setOther(&messages.NodeStatus{Node: 2, Epoch: 1})
	status.setReplica(voters(7, 1, 2, 9, 1, 2, 3))
	status.setAddresses(config, bookOf(config))
	c := proposalChecks{status, n.pledged}
	text := func(err *messages.Error) string {
		if err == nil {
			return ""
		}
		return err.Text
	}
	require.Contains(t, text(c.removal(config, config.Nodes[1])), "is alive")
	require.Empty(t, text(c.removal(config, config.Nodes[2])))
	status.setReplica(voters(7, 1, 2, 9, 1, 3))
	require.Contains(t, text(c.removal(config, config.Nodes[2])), "group 7 has only [1] of its voters [1 3] alive without it")
	require.Contains(t, text(c.replacement(config, &messages.AddNode{Name: "n3", DirectoryToken: 99})), "is its volume mounted?")
	require.Contains(t, text(c.replacement(config, &messages.AddNode{Name: "n2", DirectoryToken: 99})), "choose another name")
	require.Empty(t, text(c.replacement(config, &messages.AddNode{Name: "n3", DirectoryToken: 13})), "it is the same node")
	require.Contains(t, text(c.address(config, &messages.AddNode{DirectoryToken: 11, Epoch: 4})), "started again since")
	require.Contains(t, text(c.address(config, &messages.AddNode{DirectoryToken: 99, Address: "h2"})), "choose another one")
	require.Empty(t, text(c.address(config, &messages.AddNode{DirectoryToken: 99, Address: "h3"})), "nobody is heard there")
	require.Contains(t, text(c.raise(config, messages.NewestLevel)), "has pledged feature level")
	n.pledges = map[uint64]messages.Level{1: messages.NewestLevel, 2: messages.NewestLevel, 3: messages.NewestLevel}
	require.Empty(t, text(c.raise(config, messages.NewestLevel)))
}

func bookOf(config *messages.Config) *router.AddressBook {
	book := new(router.AddressBook)
	book.Update(config)
	return book
}
