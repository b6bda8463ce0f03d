package client

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router"
)

// Config reads a version of the config chain; version 0 means the newest. A version that does not exist is ErrInvalid.
func (c *Client) Config(ctx context.Context, version uint64) (*messages.Config, error) {
	r, err := c.Do(ctx, &messages.MetaQuery{Op: &messages.MetaQuery_Show{Show: version}})
	return r.GetMeta().GetConfig(), err
}

// ConfigLog lists the versions from..to of the config chain (to 0: the newest), at most 1000: number, change, time and author of
// each, without its content.
func (c *Client) ConfigLog(ctx context.Context, from, to uint64) ([]*messages.Config, error) {
	r, err := c.Do(ctx, &messages.MetaQuery{Op: &messages.MetaQuery_Log{Log: &messages.ConfigLog{From: from, To: to}}})
	return r.GetMeta().GetConfigs(), err
}

// Rebalance unpins the buckets that operators have moved, so that placement may move them, and lets placement run once if it is
// paused. The steps that it would take are in the status of every node. It returns when the command is committed; the steps
// follow.
func (c *Client) Rebalance(ctx context.Context) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Rebalance{Rebalance: &messages.Rebalance{}}})
}

// PausePlacement stops automatic placement: groups, replicas and buckets stay where they are, also on nodes that are dead or
// draining.
func (c *Client) PausePlacement(ctx context.Context) (*messages.Config, error) {
	return c.setPlacement(ctx, messages.Placement_PAUSED)
}

// ResumePlacement ends a pause.
func (c *Client) ResumePlacement(ctx context.Context) (*messages.Config, error) {
	return c.setPlacement(ctx, messages.Placement_AUTOMATIC)
}

func (c *Client) setPlacement(ctx context.Context, p messages.Placement) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_SetPlacement{SetPlacement: &messages.SetPlacement{Placement: p}}})
}

// Drain starts to move leaders and replicas off a node. It returns when the command is committed; the status of every node says
// how far the drain is. The last node that can hold data is refused with ErrConflict.
func (c *Client) Drain(ctx context.Context, node uint64) (*messages.Config, error) {
	return c.setNode(ctx, node, messages.NodeState_DRAINING)
}

// Undrain revokes a Drain, also one that is complete.
func (c *Client) Undrain(ctx context.Context, node uint64) (*messages.Config, error) {
	return c.setNode(ctx, node, messages.NodeState_ACTIVE)
}

func (c *Client) setNode(ctx context.Context, node uint64, s messages.NodeState) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_SetNode{SetNode: &messages.SetNode{Node: node, State: s}}})
}

// RemoveNode removes a dead node from the cluster; placement creates its replicas on other nodes. A node that is alive is refused
// with ErrConflict.
func (c *Client) RemoveNode(ctx context.Context, node uint64) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_RemoveNode{RemoveNode: &messages.RemoveNode{Node: node}}})
}

// Move assigns buckets first..last to a group, and pins them there until a Rebalance. It returns when the command is committed;
// the migration of the data follows.
func (c *Client) Move(ctx context.Context, first, last uint32, group uint64) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Move{
		Move: &messages.MoveBuckets{First: first, Last: last, Group: group},
	}})
}

// JoinGroup adds a group with replicas on nodes, the preferred leader first, and assigns it its share of buckets.
func (c *Client) JoinGroup(ctx context.Context, group uint64, nodes []uint64) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Join{
		Join: &messages.JoinGroups{Groups: []*messages.NewGroup{{Group: group, Nodes: nodes}}},
	}})
}

// LeaveGroup assigns the buckets of a group to the other groups.
func (c *Client) LeaveGroup(ctx context.Context, group uint64) (*messages.Config, error) {
	return c.Change(ctx, &messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: group}}})
}

// Change commits a command to the config chain, and gives the config that results. A command with IfVersion is refused with
// ErrConflict if the config is not at that version any more.
func (c *Client) Change(ctx context.Context, m *messages.MetaCommand) (*messages.Config, error) {
	if c.author != "" && m.RequestedBy == "" {
		if _, err := c.Config(ctx, 0); err != nil { // the Session learns whether the cluster's feature level has authors
			return nil, err
		}
		m.RequestedBy = c.author
	}
	r, err := c.Do(ctx, m)
	return r.GetMeta().GetConfig(), err
}

// Status gives the status document of the node at an address (host:port): the JSON of its /api/v1/status. It asks until the node
// answers or ctx ends; then it is ErrUnavailable.
func (c *Client) Status(ctx context.Context, address string) ([]byte, error) {
	answer, arrived := make(chan *messages.NodeStatus, 1), func() {}
	path := fmt.Sprintf("status/%x", c.system.Rand("status").Uint64())
	pid, err := c.system.Spawn(path, func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if s, ok := ctx.Message().(*messages.NodeStatus); ok {
				select {
				case answer <- s:
					arrived()
				default: // a second reply, to a request that was repeated
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
			if c.network != nil && c.network.DialError(address) != nil {
				return nil, silent(c.network.DialError(address))
			}
			return nil, silent(ctx.Err())
		}
	}
}

// statusRetryInterval is the time between two requests for a node's status.
const statusRetryInterval = 500 * time.Millisecond
