package cluster

import (
	"container/heap"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

var (
	birthCount = flag.Int("bootstraps", 400, "how many bootstraps are simulated")
	birthSeed  = flag.Uint64("bootstrap", 0, "the only seed to simulate")
)

// However seed lists overlap, and whichever nodes are slow, pause or restart, one cluster is bootstrapped, and all nodes join it.
func TestOneClusterIsBootstrapped(t *testing.T) {
	if *birthSeed != 0 {
		require.Empty(t, newBootstrapSim(*birthSeed).run())
		return
	}
	kinds := map[string]int{}
	for seed := range uint64(*birthCount) {
		n := newBootstrapSim(seed + 1)
		require.Empty(t, n.run(), "seed %d: %s", seed+1, n.kind)
		kinds[n.kind]++
	}
	require.Len(t, kinds, len(lists))
}

// bootstrapSim simulates the discovery of several nodes: messages are late or lost, disks take seconds, processes pause or die.
type bootstrapSim struct {
	rng      *rand.Rand
	kind     string
	now      time.Duration
	calmAt   time.Duration // from then on nothing is lost and nobody is slow
	events   agenda
	count    uint64
	nodes    []*simNode
	drop     float64
	maxDelay time.Duration // of a message, at most
	problems []string
}

// simNode is a node of it: what its disk has, and its life of now.
type simNode struct {
	n        *bootstrapSim
	number   int
	seeds    []string
	expect   int
	maxWrite time.Duration // a write takes at most
	token    uint64
	epoch    uint64
	cluster  uint64
	noted    map[uint64]*messages.BootstrapPeer

	discovery *discovery // nil: it is dead
	member    bool       // the life knows that the disk has a cluster
	paused    time.Duration
	disk      time.Duration // is busy until
}

type simEvent struct {
	at    time.Duration
	order uint64
	do    func()
}

type agenda []simEvent

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(simEvent)) }
func (a *agenda) Pop() any     { last := (*a)[len(*a)-1]; *a = (*a)[:len(*a)-1]; return last }

func (n *bootstrapSim) at(when time.Duration, do func()) {
	n.count++
	heap.Push(&n.events, simEvent{max(when, n.now), n.count, do})
}

func (n *bootstrapSim) within(longest time.Duration) time.Duration {
	return time.Duration(n.rng.Int64N(int64(longest) + 1))
}

// lists are the ways in which nodes name each other; two bootstrap candidates always have a node in common.
var lists = []struct {
	name string
	of   func(n *bootstrapSim, all []string, node int) []string
}{
	{"the same, shuffled", func(n *bootstrapSim, all []string, _ int) []string { return shuffled(n, all) }},
	{"some, the same", func(_ *bootstrapSim, all []string, _ int) []string { return all[:max(1, len(all)-2)] }},
	{"the others", func(_ *bootstrapSim, all []string, node int) []string {
		return slices.Delete(slices.Clone(all), node, node+1)
	}},
	{"one", func(_ *bootstrapSim, all []string, _ int) []string { return all[:1] }},
	{"itself and the next", func(_ *bootstrapSim, all []string, node int) []string {
		return []string{all[node], all[(node+1)%len(all)]}
	}},
	{"itself and one that all name", func(_ *bootstrapSim, all []string, node int) []string {
		return slices.Compact([]string{all[0], all[node]})
	}},
	{"any, and one that all name", func(n *bootstrapSim, all []string, _ int) []string {
		any := shuffled(n, all[1:])
		return append(any[:n.rng.IntN(len(any)+1)], all[0])
	}},
}

func shuffled(n *bootstrapSim, all []string) []string {
	mixed := slices.Clone(all)
	n.rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	return mixed
}

func newBootstrapSim(seed uint64) *bootstrapSim {
	n := &bootstrapSim{rng: rand.New(rand.NewPCG(seed, 22)), calmAt: 20 * time.Second}
	n.maxDelay = []time.Duration{time.Millisecond, 50 * time.Millisecond, time.Second}[n.rng.IntN(3)]
	n.drop = []float64{0, 0.1, 0.4}[n.rng.IntN(3)]
	list := lists[n.rng.IntN(len(lists))]
	n.kind = list.name
	var all []string
	for i := range 2 + n.rng.IntN(4) {
		all = append(all, fmt.Sprintf("n%d", i))
	}
	names := slices.Clone(all)
	if n.rng.IntN(4) == 0 {
		for i := range names {
			names[i] = "alias of " + names[i]
		}
	}
	expect := 2 + n.rng.IntN(len(all)-1)
	worst := []time.Duration{0, 20 * time.Millisecond, 2 * time.Second}[n.rng.IntN(3)]
	for i := range len(all) + n.rng.IntN(2) {
		a := &simNode{n: n, number: i, expect: expect, noted: map[uint64]*messages.BootstrapPeer{}, token: n.rng.Uint64() | 1}
		if i < len(all) {
			a.seeds = list.of(n, names, i)
		} else { // nobody names it
			a.seeds, a.expect = shuffled(n, names), 1
		}
		if n.rng.IntN(2) == 0 {
			a.maxWrite = worst
		}
		n.nodes = append(n.nodes, a)
		n.at(n.within(5*time.Second), a.start)
	}
	n.at(n.calmAt+1, func() {})
	for range n.rng.IntN(6) {
		n.at(n.within(n.calmAt-time.Second), n.disturb)
	}
	return n
}

// disturb stops a node for a while, or ends its life.
func (n *bootstrapSim) disturb() {
	a := n.nodes[n.rng.IntN(len(n.nodes))]
	if n.rng.IntN(2) == 0 {
		a.paused = max(a.paused, n.now+n.within(10*time.Second))
		return
	}
	a.discovery = nil
	if n.kind == "the same, shuffled" && a.cluster == 0 && n.rng.IntN(2) == 0 { // it loses its directory
		a.token, a.epoch, a.noted = n.rng.Uint64()|1, 0, map[uint64]*messages.BootstrapPeer{}
	}
	n.at(n.now+n.within(5*time.Second), a.start)
}

// run gives what went wrong.
func (n *bootstrapSim) run() []string {
	for len(n.events) > 0 && len(n.problems) == 0 && n.now < n.calmAt+time.Minute {
		e := heap.Pop(&n.events).(simEvent)
		n.now = e.at
		e.do()
		if n.now > n.calmAt && !slices.ContainsFunc(n.nodes, func(a *simNode) bool { return !a.member }) {
			return n.problems
		}
	}
	if len(n.problems) == 0 {
		for _, a := range n.nodes {
			n.problems = append(n.problems, fmt.Sprintf("n%d, token %x, seeds %v, cluster %x", a.number, a.token, a.seeds, a.cluster))
			if a.discovery != nil && !a.member {
				n.problems = append(n.problems, fmt.Sprintf("waits: %s; %v", a.discovery.waitReason(n.now), a.discovery.missing(n.now)))
			}
		}
	}
	return n.problems
}

func (a *simNode) address() string { return fmt.Sprintf("n%d", a.number) }

func (a *simNode) start() {
	if a.discovery != nil {
		return
	}
	a.epoch++
	a.member = a.cluster != 0
	self := &messages.BootstrapPeer{DirectoryToken: a.token, Name: a.address(), Address: a.address(), Epoch: a.epoch}
	var noted []*messages.BootstrapPeer
	for _, token := range slices.Sorted(maps.Keys(a.noted)) {
		noted = append(noted, a.noted[token])
	}
	a.discovery = newDiscovery(self, a.seeds, a.expect, noted)
	a.tick(a.discovery)
}

// live lets something happen to a life, when it does not stand still.
func (a *simNode) live(life *discovery, do func()) {
	switch {
	case a.discovery != life:
	case a.paused > a.n.now && a.n.now < a.n.calmAt:
		a.n.at(min(a.paused, a.n.calmAt), func() { a.live(life, do) })
	default:
		do()
	}
}

// write makes something durable, one after the other, and then says so to the life that wanted it.
func (a *simNode) write(durable, then func()) {
	takes := a.n.within(a.maxWrite)
	if a.n.now > a.n.calmAt {
		takes = time.Millisecond
	}
	life, token := a.discovery, a.token
	a.disk = max(a.disk, a.n.now) + takes
	a.n.at(a.disk, func() {
		if a.discovery != life || a.token != token {
			return // lost with the life
		}
		durable()
		a.live(life, then)
	})
}

func (n *bootstrapSim) send(address string, do func(to *simNode)) {
	if n.now < n.calmAt && n.rng.Float64() < n.drop {
		return
	}
	n.at(n.now+n.within(n.maxDelay), func() {
		for _, to := range n.nodes {
			if to.address() == address || "alias of "+to.address() == address {
				to.live(to.discovery, func() {
					if to.discovery != nil {
						do(to)
					}
				})
			}
		}
	})
}

func (a *simNode) tick(life *discovery) {
	a.live(life, func() {
		if a.member {
			return
		}
		life.expire(a.n.now)
		contacts, seed := life.contacts()
		for _, address := range contacts {
			h := &messages.Hello{Address: a.address(), Name: a.address(), DirectoryToken: a.token, Epoch: a.epoch, BootstrapCandidate: life.self.BootstrapCandidate, DialedSeed: seed(address), DialedAddress: address}
			a.n.send(address, func(to *simNode) { to.onHello(h) })
		}
		a.tryBootstrap()
		a.n.at(a.n.now+200*time.Millisecond, func() { a.tick(life) })
	})
}

func (a *simNode) tryBootstrap() {
	if a.discovery.inProgress || a.discovery.waitReason(a.n.now) != "" {
		return
	}
	a.discovery.inProgress = true
	cluster := a.n.rng.Uint64() | 1
	a.write(func() { a.joinCluster(cluster) }, func() { a.member = true })
}

// belongs holds a directory that belongs to a cluster from now on against all others.
func (a *simNode) joinCluster(cluster uint64) {
	a.cluster = cluster
	for _, other := range a.n.nodes {
		if other.cluster != 0 && other.cluster != cluster {
			a.n.problems = append(a.n.problems, fmt.Sprintf("%v: n%d belongs to cluster %x, n%d to %x", a.n.now, a.number, cluster, other.number, other.cluster))
		}
	}
}

func (a *simNode) onHello(h *messages.Hello) {
	if a.member {
		a.answer(h)
		return
	}
	d := a.discovery.onHello(&messages.BootstrapPeer{DirectoryToken: h.DirectoryToken, Name: h.Name, Address: h.Address, Epoch: h.Epoch, BootstrapCandidate: h.BootstrapCandidate}, h.DialedSeed, a.n.now)
	if d.save != nil || len(d.forget) > 0 {
		life := a.discovery
		a.write(func() {
			for _, token := range d.forget {
				delete(a.noted, token)
			}
			if d.save != nil {
				a.noted[h.DirectoryToken] = d.save
			}
		}, func() {
			if d.save != nil {
				life.onPeerSaved(h.DirectoryToken)
				a.answer(h)
			}
		})
	}
	if d.save == nil && !d.pending {
		a.answer(h)
	}
}

func (a *simNode) answer(h *messages.Hello) {
	r := &messages.HelloReply{Address: a.address(), Name: a.address(), DirectoryToken: a.token, DialedAddress: h.DialedAddress, ToToken: h.DirectoryToken}
	if a.member {
		r.ClusterId = a.cluster
	} else {
		a.discovery.fillReply(r)
	}
	a.n.send(h.Address, func(to *simNode) { to.onReply(r) })
}

func (a *simNode) onReply(r *messages.HelloReply) {
	switch {
	case a.member:
	case r.ClusterId == 0:
		a.discovery.onReply(r, a.n.now)
		a.tryBootstrap()
	case !a.discovery.inProgress:
		a.discovery.inProgress = true
		a.write(func() { a.joinCluster(r.ClusterId) }, func() { a.member = true })
	}
}
