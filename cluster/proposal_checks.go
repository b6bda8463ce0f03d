package cluster

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/shardkv"
)

// ErrOlderCopy is why a node stops whose data directory is an older copy of itself: others have heard of a later boot of it.
var ErrOlderCopy = errors.New("this data directory is an older copy of itself: other nodes know of a later boot than this one, and what it " +
	"acknowledged since the copy was made is missing here. Start the node with the newest directory, or with an empty one, and it joins as a new one")

// ErrRemoved is why a node stops that the cluster has removed.
var ErrRemoved = errors.New("the cluster has removed this node: to use it again, start it with an empty data directory, and it joins as a new one")

// proposalChecks refuse commands where their group is led, before they enter the log: what the Machine cannot know to be wrong,
// since it depends on which nodes are alive and on what they have pledged. Peers call them on their own goroutines.
type proposalChecks struct {
	status  *statusBoard
	pledged func(node uint64) messages.Level
}

// meta checks a command of group 0. view is the newest one of its Machine.
func (c proposalChecks) meta(view any, command []byte) *messages.Error {
	if err := c.level(command); err != nil {
		return err
	}
	if err := meta.Checker(view, command); err != nil {
		return err
	}
	m := new(messages.Command)
	now, known := view.(*meta.View)
	if !known || now.Answered(command) || proto.Unmarshal(command, m) != nil {
		return nil
	}
	config := now.Config
	switch op := m.GetMeta().GetOp().(type) {
	case *messages.MetaCommand_RaiseLevel:
		return c.raise(config, messages.Level(op.RaiseLevel.Level))
	case *messages.MetaCommand_RemoveNode:
		return c.removal(config, config.FindNode(op.RemoveNode.Node))
	case *messages.MetaCommand_AddNode:
		if err := c.address(config, op.AddNode); err != nil {
			return err
		}
		return c.replacement(config, op.AddNode)
	}
	return nil
}

// shard checks a command of a shard group.
func (c proposalChecks) shard(view any, command []byte) *messages.Error {
	if err := c.level(command); err != nil {
		return err
	}
	return shardkv.Checker(view, command)
}

// level refuses a command that some nodes of the cluster do not understand. Commands that no node understands the Machines refuse.
func (c proposalChecks) level(command []byte) *messages.Error {
	cluster := c.status.level()
	if cluster >= messages.NewestLevel {
		return nil
	}
	if needs, err := messages.CommandLevel(command); err == nil && needs > cluster {
		return messages.LevelMissing(needs, cluster)
	}
	return nil
}

// raise refuses a feature level that a node of the config has not pledged.
func (c proposalChecks) raise(config *messages.Config, level messages.Level) *messages.Error {
	for _, node := range config.GetNodes() {
		if has := c.pledged(node.Id); !node.Removed && has < level {
			return messages.Errorf(messages.Code_CONFLICT, "node %d (%s) has pledged feature level %d, not %d", node.Id, node.Name, has, level)
		}
	}
	return nil
}

// removal refuses to remove a node that is alive, or whose disk a group may need.
func (c proposalChecks) removal(config *messages.Config, node *messages.Node) *messages.Error {
	if c.status.maybeAlive(messages.NodeID(node.Id)) {
		return messages.Errorf(messages.Code_CONFLICT, "node %d (%s) is alive, or was so a moment ago: drain it, stop it, and ask again", node.Id, node.Name)
	}
	if why := c.status.snapshot().blockedWithout(config, node.Id); why != "" {
		return messages.Errorf(messages.Code_CONFLICT, "%s and may need what node %d (%s) has: bring nodes back first", why, node.Id, node.Name)
	}
	return nil
}

// address refuses an earlier boot of a node, and a node at the address of another one that is alive there. An address that only the
// config names is free.
func (c proposalChecks) address(config *messages.Config, newcomer *messages.AddNode) *messages.Error {
	for _, known := range config.Nodes {
		if known.DirectoryToken == newcomer.DirectoryToken && known.Epoch > newcomer.Epoch {
			return messages.Errorf(messages.Code_CONFLICT, "node %d (%s) has been started again since, at %s", known.Id, known.Name, known.Address)
		}
	}
	for _, other := range config.Nodes {
		id := messages.NodeID(other.Id)
		if !other.Removed && other.DirectoryToken != newcomer.DirectoryToken && c.status.address(id) == newcomer.Address &&
			c.status.silentFor(id, 0) < aliveTimeout {
			return messages.Errorf(messages.Code_CONFLICT, "address %s is that of node %d (%s), which is alive: choose another one", newcomer.Address, other.Id, other.Name)
		}
	}
	return nil
}

// replacement refuses a newcomer with the name of a node that could not be removed now: a directory that is missing, such as a volume
// that is not mounted, may be the one that a group needs.
func (c proposalChecks) replacement(config *messages.Config, newcomer *messages.AddNode) *messages.Error {
	old := meta.NodeByName(config, newcomer.Name)
	if old == nil || old.DirectoryToken == newcomer.DirectoryToken {
		return nil
	}
	if c.status.maybeAlive(messages.NodeID(old.Id)) {
		return messages.Errorf(messages.Code_CONFLICT, "name %q is taken by node %d at %s, which is alive: choose another name", old.Name, old.Id, old.Address)
	}
	if why := c.status.snapshot().blockedWithout(config, old.Id); why != "" {
		return messages.Errorf(messages.Code_CONFLICT, "%s and may need the data directory of node %d (%s), which this empty one would replace for good: "+
			"start %s with that directory (is its volume mounted?), or bring other nodes back first", why, old.Id, old.Name, old.Name)
	}
	return nil
}

// blockedWithout names a group that could not certainly go on if a node never came back: it has no leader, or no majority of its
// voters is alive without the node. Empty: every group could.
func (s snapshot) blockedWithout(config *messages.Config, node uint64) string {
	lives := func(id uint64) bool {
		return id != node && s.alive(messages.NodeID(id)) && !config.FindNode(id).GetRemoved()
	}
	for _, g := range config.Groups {
		if len(g.Nodes) == 0 {
			continue
		}
		led := s.leaderStatus(messages.GroupID(g.Id))
		if led == nil {
			return fmt.Sprintf("group %d has no leader now", g.Id)
		}
		for _, voters := range [][]uint64{led.Conf.GetVoters(), led.Conf.GetOutgoing()} {
			living := slices.DeleteFunc(slices.Clone(voters), func(id uint64) bool { return !lives(id) })
			if len(voters) > 0 && 2*len(living) <= len(voters) {
				return fmt.Sprintf("group %d has only %v of its voters %v alive without it", g.Id, living, voters)
			}
		}
	}
	return ""
}
