//go:build linux

package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kinds of faults.
const (
	kill      = "kill -9"
	killAll   = "kill -9 of all"
	freeze    = "SIGSTOP"
	partition = "partition"
	bridge    = "bridge partition" // one node sees both halves
	oneWay    = "one-way partition"
	loss      = "loss"
	delay     = "delay"
)

// sides of a partition. Who is on both sees everybody.
const (
	left = 1 << iota
	right
	both = left | right
)

// link is what packets from one host to another meet.
type link struct {
	cut    bool
	loss   float64       // share of the packets
	delay  time.Duration // of each packet
	jitter time.Duration // at most so much more, so that packets overtake each other
}

// fault is something that goes wrong for a while. Host 0 has the clients, hosts 1, 2, … a node each.
type fault struct {
	kind      string
	at, until time.Duration
	hosts     []int // kill, freeze, loss, delay: whom it hits
	sides     []int // partitions: of each host
	link      link  // loss, delay
}

func (f fault) String() string {
	switch f.kind {
	case partition, bridge, oneWay:
		return fmt.Sprintf("%s %s", f.kind, strings.Join([]string{f.side(left), f.side(right)}, "|"))
	case loss:
		return fmt.Sprintf("%s %.0f %% at %v", f.kind, 100*f.link.loss, f.hosts)
	case delay:
		return fmt.Sprintf("%s %v+%v at %v", f.kind, f.link.delay, f.link.jitter, f.hosts)
	}
	return fmt.Sprintf("%s %v", f.kind, f.hosts)
}

func (f fault) side(side int) string {
	var text strings.Builder
	for host, s := range f.sides {
		if s&side != 0 {
			fmt.Fprint(&text, host)
		}
	}
	return text.String()
}

// between is what packets from one host to another meet while there is this fault.
func (f fault) between(from, to int) link {
	switch f.kind {
	case partition, bridge:
		return link{cut: f.sides[from]&f.sides[to] == 0}
	case oneWay:
		return link{cut: f.sides[from] == left && f.sides[to] == right}
	case loss, delay:
		if slices.Contains(f.hosts, from) || slices.Contains(f.hosts, to) {
			return f.link
		}
	}
	return link{}
}

// ofNodes tells whether a fault is one of the processes, and not of the network between them.
func (f fault) ofNodes() bool { return f.kind == kill || f.kind == killAll || f.kind == freeze }

// draw makes up the faults of a run, in the order in which they begin: of nodes one after the other, and of the
// network one after the other at the same time. All end before the run does.
func draw(seed uint64, nodes int, length time.Duration) []fault {
	p := planner{rand.New(rand.NewPCG(seed, 1)), nodes}
	all := append(p.series(length, p.nodeFault), p.series(length, p.networkFault)...)
	slices.SortStableFunc(all, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	return all
}

type planner struct {
	*rand.Rand
	nodes int
}

func (p planner) within(low, high time.Duration) time.Duration {
	return low + time.Duration(p.Int64N(int64(high-low)))
}

// series leaves the cluster in peace before the first fault, and between two.
func (p planner) series(length time.Duration, next func() fault) (all []fault) {
	for at := p.within(time.Second, 6*time.Second); ; {
		f := next()
		f.at, f.until = at, at+p.within(500*time.Millisecond, 9*time.Second)
		if f.until > length {
			return all
		}
		all = append(all, f)
		at = f.until + p.within(time.Second, 6*time.Second)
	}
}

// some draws up to most different nodes.
func (p planner) some(most int) []int {
	chosen := p.Perm(p.nodes)[:1+p.IntN(most)]
	for i := range chosen {
		chosen[i]++
	}
	slices.Sort(chosen)
	return chosen
}

func (p planner) nodeFault() fault {
	switch n := p.IntN(10); {
	case n == 0:
		f := fault{kind: killAll}
		for host := 1; host <= p.nodes; host++ {
			f.hosts = append(f.hosts, host)
		}
		return f
	case n < 6:
		return fault{kind: kill, hosts: p.some(2)}
	}
	return fault{kind: freeze, hosts: p.some(2)}
}

func (p planner) networkFault() fault {
	switch p.IntN(5) {
	case 0:
		return p.parts(partition)
	case 1:
		f := p.parts(bridge)
		f.sides[1+p.IntN(p.nodes)] = both
		return f
	case 2:
		return p.parts(oneWay)
	case 3:
		return fault{kind: loss, hosts: p.some(p.nodes), link: link{loss: 0.02 + 0.4*p.Float64()}}
	}
	d := p.within(5*time.Millisecond, 300*time.Millisecond).Round(time.Millisecond)
	return fault{kind: delay, hosts: p.some(p.nodes), link: link{delay: d, jitter: d / 2}}
}

// parts draws a side for each node, neither without any. Clients mostly see both sides: there they meet who is cut off.
func (p planner) parts(kind string) fault {
	f := fault{kind: kind, sides: make([]int, 1+p.nodes)}
	for host := range f.sides {
		f.sides[host] = left
	}
	for _, host := range p.some(p.nodes - 1) {
		f.sides[host] = right
	}
	f.sides[0] = []int{left, right, both, both}[p.IntN(4)]
	return f
}
