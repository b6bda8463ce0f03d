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

// ConfigLog lists versions from..to (0: the newest), at most 1000: number, change, time and author, without content.
func (c *Client) ConfigLog(ctx context.Context, from, to uint64) ([]*messages.Config, error) {
	r, err := c.Do(ctx, &messages.MetaQuery{Op: &messages.MetaQuery_Log{Log: &messages.ConfigLog{From: from, To: to}}})
	return r.GetMeta().GetConfigs(), err
}

// Rebalance lets placement move buckets again that an operator moved, and lets it run once if it is paused. What it would
// do is in the status of every node. It returns when the config says so; the steps follow.
func (c *Client) Rebalance(ctx context.Context) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Rebalance{Rebalance: &messages.Rebalance{}}})
}

// PausePlacement lets groups, replicas and buckets be where they are, also those of dead nodes and of nodes that drain.
func (c *Client) PausePlacement(ctx context.Context) (*messages.Config, error) {
	return c.setPlacement(ctx, messages.Placement_PAUSED)
}

// ResumePlacement is the end of a pause.
func (c *Client) ResumePlacement(ctx context.Context) (*messages.Config, error) {
	return c.setPlacement(ctx, messages.Placement_AUTOMATIC)
}

func (c *Client) setPlacement(ctx context.Context, p messages.Placement) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{Placement: p}}})
}

// Drain takes leaders, replicas and buckets off a node. It returns when the config says so; the status of every node
// tells how far it is. The last node that can have data is refused: ErrConflict.
func (c *Client) Drain(ctx context.Context, node uint64) (*messages.Config, error) {
	return c.setNode(ctx, node, messages.NodeState_DRAINING)
}

// Undrain takes a Drain back, also one that is over.
func (c *Client) Undrain(ctx context.Context, node uint64) (*messages.Config, error) {
	return c.setNode(ctx, node, messages.NodeState_ACTIVE)
}

func (c *Client) setNode(ctx context.Context, node uint64, s messages.NodeState) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_SetNode{SetNode: &messages.SetNode{Node: node, State: s}}})
}

// RemoveNode forgets a node that is dead; others get what it had. One that is alive is refused: ErrConflict.
func (c *Client) RemoveNode(ctx context.Context, node uint64) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_RemoveNode{RemoveNode: &messages.RemoveNode{Node: node}}})
}

// Move gives buckets first..last to a group, and pins them there until a Rebalance. It returns when the config says so;
// the data follows.
func (c *Client) Move(ctx context.Context, first, last uint32, group uint64) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Move{
		Move: &messages.MoveBuckets{First: first, Last: last, Group: group},
	}})
}

// JoinGroup adds a group on nodes, the preferred leader first, and gives it its share of buckets.
func (c *Client) JoinGroup(ctx context.Context, group uint64, nodes []uint64) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Join{
		Join: &messages.JoinGroups{Groups: []*messages.NewGroup{{Group: group, Nodes: nodes}}},
	}})
}

// LeaveGroup gives a group's buckets to the others.
func (c *Client) LeaveGroup(ctx context.Context, group uint64) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: group}}})
}

// Change has a command committed to the config chain, and gives the config then. With IfVersion it is refused, with
// ErrConflict, if somebody else was quicker.
func (c *Client) Change(ctx context.Context, m *messages.MetaCommand) (*messages.Config, error) {
	if c.author != "" && m.RequestedBy == "" {
		if _, err := c.Config(ctx, 0); err != nil { // the session learns whether the cluster knows of authors
			return nil, err
		}
		m.RequestedBy = c.author
	}
	r, err := c.Do(ctx, m)
	return r.GetMeta().GetConfig(), err
}

// Status asks one node for its status document, the same as its /api/v1/status.
func (c *Client) Status(ctx context.Context, address string) ([]byte, error) {
	answer, arrived := make(chan *messages.NodeStatus, 1), func() {}
	path := fmt.Sprintf("status/%x", c.system.Rand("status").Uint64())
	pid, err := c.system.Spawn(path, func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if s, ok := ctx.Message().(*messages.NodeStatus); ok {
				select {
				case answer <- s:
					arrived()
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
	silent := func(why error) error {
		return messages.Errorf(messages.Code_UNAVAILABLE, "node at %s does not answer: %v", address, why)
	}
	for c.waiter != nil {
		if c.waiter.Wait(ctx, statusRetryInterval, func(done func()) { arrived = done; ask() }) {
			return (<-answer).Json, nil
		}
		if left, ok := c.waiter.Remaining(ctx); ok && left <= 0 {
			return nil, silent(context.DeadlineExceeded)
		}
	}
	again := time.NewTicker(statusRetryInterval)
	defer again.Stop()
	for ask(); ; ask() {
		select {
		case s := <-answer:
			return s.Json, nil
		case <-again.C:
		case <-ctx.Done():
			if c.network != nil && c.network.Trouble(address) != nil {
				return nil, silent(c.network.Trouble(address))
			}
			return nil, silent(ctx.Err())
		}
	}
}

// statusRetryInterval is how often a node is asked for its status until it answers.
const statusRetryInterval = 500 * time.Millisecond
