//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/messages"
)

const (
	moveEvery  = 300 * time.Millisecond
	drainEvery = time.Minute
	drainFor   = 30 * time.Second
)

// operator moves buckets all the time, and drains one node a minute.
type operator struct {
	*client.Client
	rng *rand.Rand
	run *run
}

// did counts what became of a request.
func (o *operator) did(what string, err error) {
	word := "OK"
	if err != nil {
		word = "no answer"
		if e := (*messages.Error)(nil); errors.As(err, &e) {
			word = e.Code.String()
		}
		o.run.note("%s: %v", what, err)
	}
	o.run.orders.add(what + " " + word)
}

// move gives buckets to groups until ctx ends. Some it calls back at once, and at times it lets placement have its way.
func (o *operator) move(ctx context.Context) {
	for pause(ctx, moveEvery) {
		config, err := o.Config(ctx, 0)
		if err != nil {
			o.did("config", err)
			continue
		}
		if o.rng.IntN(12) == 0 {
			_, err := o.Rebalance(ctx)
			o.did("rebalance", err)
			continue
		}
		buckets := len(config.Owners)
		first := o.rng.IntN(buckets)
		last := min(first+o.rng.IntN(8), buckets-1)
		groups := slices.DeleteFunc(config.Groups, func(g *messages.Group) bool { return g.Id == 0 || len(g.Nodes) == 0 })
		from, to := config.Owners[first], groups[o.rng.IntN(len(groups))].Id
		_, err = o.Move(ctx, uint32(first), uint32(last), to)
		o.did("move", err)
		if err == nil && from != to && o.rng.IntN(5) == 0 {
			_, err := o.Move(ctx, uint32(first), uint32(first), from)
			o.did("call back", err)
		}
	}
}

// drain takes everything off a node, and takes that back half a minute later, once a minute until ctx ends.
func (o *operator) drain(ctx context.Context, nodes []*node) {
	for every := pause(ctx, drainEvery/4); every; every = pause(ctx, drainEvery-drainFor) {
		victim := nodes[o.rng.IntN(len(nodes))]
		id, over := o.id(ctx, victim), time.Now().Add(drainFor)
		for done := false; time.Now().Before(over) && pause(ctx, time.Second); {
			if id == 0 {
				id = o.id(ctx, victim)
				continue
			}
			if !done {
				_, err := o.Drain(ctx, id)
				o.did("drain", err)
				done = err == nil
				continue
			}
			if drained(ctx, nodes, id) {
				o.run.orders.add("drained to 100 %")
				break
			}
		}
		o.undrain(ctx)
	}
}

// id of a node, 0 if nobody tells.
func (o *operator) id(ctx context.Context, n *node) uint64 {
	config, err := o.Config(ctx, 0)
	if err != nil {
		return 0
	}
	for _, other := range config.Nodes {
		if other.Address == address(n.number)+port && !other.Removed {
			return other.Id
		}
	}
	return 0
}

// drained tells whether any node knows that a drain is over.
func drained(ctx context.Context, nodes []*node, id uint64) bool {
	for _, n := range nodes {
		s, err := n.status(ctx)
		if err != nil {
			continue
		}
		for _, other := range s.Nodes {
			if other.ID == id && other.Drain != nil && other.Drain.Percent == 100 {
				return true
			}
		}
	}
	return false
}

// undrain takes all drains back, and says so until it is done or ctx ends.
func (o *operator) undrain(ctx context.Context) {
	for {
		config, err := o.Config(ctx, 0)
		left := 0
		for _, n := range config.GetNodes() {
			if !n.Removed && n.State == messages.NodeState_DRAINING {
				_, err := o.Undrain(ctx, n.Id)
				o.did("undrain", err)
				left++
			}
		}
		if err == nil && left == 0 || !pause(ctx, time.Second) {
			return
		}
	}
}
