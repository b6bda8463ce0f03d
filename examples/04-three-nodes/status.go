package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// status is the part of a node's status document that this program reads.
type status struct {
	Ready bool `json:"ready"`
	Nodes []struct {
		ID         uint64
		Name, Addr string
	} `json:"nodes"`
	Groups []struct {
		ID, Leader, Term uint64
		Replicas         []uint64
	} `json:"groups"`
	Buckets struct{ Owners []uint64 } `json:"buckets"`
}

func (t *three) status(ctx context.Context, p *process) (s status, err error) {
	body, err := t.c.Status(ctx, p.listen)
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// ready waits until every node can serve: it knows the config, every group has a leader, and its own replicas have caught up.
func (t *three) ready(ctx context.Context) error {
	for _, p := range t.processes {
		for {
			s, err := t.status(ctx, p)
			if err == nil && s.Ready {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not ready: %w", p.name, errors.Join(err, ctx.Err()))
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// whole waits until every group, meta too, has three replicas: meta begins with one and grows.
func (t *three) whole(ctx context.Context) (s status, err error) {
	for {
		s, err = t.status(ctx, t.processes[0])
		grown := err == nil && len(s.Groups) == 3
		for _, g := range s.Groups {
			grown = grown && len(g.Replicas) == 3
		}
		if grown {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("not every group has three replicas: %w", errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (t *three) show(ctx context.Context) error {
	s, err := t.whole(ctx)
	if err != nil {
		return err
	}
	for _, g := range s.Groups {
		owned := 0
		for _, owner := range s.Buckets.Owners {
			if owner == g.ID {
				owned++
			}
		}
		what := fmt.Sprintf("%d of %d buckets", owned, len(s.Buckets.Owners))
		if g.ID == 0 {
			what = "meta: the config chain"
		}
		fmt.Printf("   group %d: replicas on nodes %v, node %d leads term %d, %s\n", g.ID, g.Replicas, g.Leader, g.Term, what)
	}
	return nil
}

// leaderOf is the process that leads the group of a key: key, slot, bucket, group, leader.
func (t *three) leaderOf(ctx context.Context, key []byte) (leader *process, group uint64, err error) {
	for ctx.Err() == nil {
		for _, p := range t.processes {
			if p.cmd == nil {
				continue
			}
			s, err := t.status(ctx, p)
			if err != nil {
				return nil, 0, err
			}
			group = s.Buckets.Owners[messages.BucketOf(key, len(s.Buckets.Owners))]
			if leader := t.leads(s, group); leader != nil && leader.cmd != nil {
				return leader, group, nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil, 0, ctx.Err()
}

func (t *three) leads(s status, group uint64) *process {
	for _, g := range s.Groups {
		for _, n := range s.Nodes {
			if g.ID != group || n.ID != g.Leader {
				continue
			}
			for _, p := range t.processes {
				if p.listen == n.Addr {
					return p
				}
			}
		}
	}
	return nil
}
