package client

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// Config reads a version of the config chain; 0 is the newest.
func (c *Client) Config(ctx context.Context, version uint64) (*messages.Config, error) {
	r, err := c.Do(ctx, &messages.MetaQuery{Op: &messages.MetaQuery_Show{Show: version}})
	return r.GetMeta().GetConfig(), err
}

// ConfigLog lists versions from..to (0: the newest), at most 1000: number, change and time, without content.
func (c *Client) ConfigLog(ctx context.Context, from, to uint64) ([]*messages.Config, error) {
	r, err := c.Do(ctx, &messages.MetaQuery{Op: &messages.MetaQuery_Log{Log: &messages.ConfigLog{From: from, To: to}}})
	return r.GetMeta().GetConfigs(), err
}

// Plan tells what Rebalance would move.
func (c *Client) Plan(ctx context.Context) ([]*messages.BucketMove, error) {
	r, err := c.Do(ctx, &messages.MetaQuery{Op: &messages.MetaQuery_Rebalance{Rebalance: true}})
	return r.GetMeta().GetMoves(), err
}

// Rebalance evens out the bucket counts with the fewest moves.
func (c *Client) Rebalance(ctx context.Context) (*messages.Config, error) {
	return c.change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Rebalance{Rebalance: &messages.Rebalance{}}})
}

// Move gives buckets first..last to a group. It returns when the config says so; the data follows.
func (c *Client) Move(ctx context.Context, first, last uint32, group uint64) (*messages.Config, error) {
	return c.change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Move{
		Move: &messages.MoveBuckets{First: first, Last: last, Group: group},
	}})
}

// JoinGroup adds a group on nodes, the preferred leader first, and gives it its share of buckets.
func (c *Client) JoinGroup(ctx context.Context, group uint64, nodes []uint64) (*messages.Config, error) {
	return c.change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Join{
		Join: &messages.JoinGroups{Groups: []*messages.NewGroup{{Group: group, Nodes: nodes}}},
	}})
}

// LeaveGroup gives a group's buckets to the others.
func (c *Client) LeaveGroup(ctx context.Context, group uint64) (*messages.Config, error) {
	return c.change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: group}}})
}

func (c *Client) change(ctx context.Context, m *messages.MetaCommand) (*messages.Config, error) {
	r, err := c.Do(ctx, m)
	return r.GetMeta().GetConfig(), err
}

// Status asks one node for its status document, the same as its /api/v1/status.
func (c *Client) Status(ctx context.Context, address string) ([]byte, error) {
	answer := make(chan *messages.NodeStatus, 1)
	path := fmt.Sprintf("status/%x", c.system.Rand(address+time.Now().String()).Uint64())
	pid, err := c.system.Spawn(path, func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if s, ok := ctx.Message().(*messages.NodeStatus); ok {
				select {
				case answer <- s:
				default: // a second answer to a question asked twice
				}
			}
		})
	})
	if err != nil {
		return nil, err
	}
	defer c.system.Root.Stop(pid)
	ask := func() {
		c.system.Root.Send(actor.NewPID(address, router.MemberPath), &messages.StatusPull{
			ReplyAddress: c.system.Address(), ReplyId: path,
		})
	}
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for ask(); ; ask() {
		select {
		case s := <-answer:
			return s.Json, nil
		case <-again.C:
		case <-ctx.Done():
			return nil, messages.Errorf(messages.Code_UNAVAILABLE, "node at %s does not answer: %v", address, ctx.Err())
		}
	}
}
