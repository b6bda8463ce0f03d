package raft

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// ProposeConf appends a membership change of one server (thesis 4.1). It takes effect when it is committed and
// handed out in Ready.Apply. One at a time, and none before the leader has committed in its own term: otherwise two
// leaders could change the same membership without a common quorum.
func (c *Core) ProposeConf(change *messages.ConfChange) (index, term uint64, err error) {
	switch {
	case c.role != Leader:
		return 0, 0, ErrNotLeader
	case c.transfer != 0:
		return 0, 0, ErrTransferring
	case c.confPending > c.emitted || c.log.term(c.commit) != c.term:
		return 0, 0, ErrConfPending
	}
	if _, err := applyConf(c.conf, change); err != nil {
		return 0, 0, err
	}
	body, err := proto.Marshal(change)
	if err != nil {
		return 0, 0, err
	}
	e := &messages.Entry{
		Index: c.log.last() + 1, Term: c.term, TimeMs: c.LogTime(),
		Kind: messages.EntryKind_CONF_CHANGE, Commands: [][]byte{body},
	}
	c.Stir()
	c.log.append([]*messages.Entry{e})
	c.confPending = e.Index
	return e.Index, e.Term, nil
}

// applyConf gives the membership after a change, or ErrInvalidConf.
func applyConf(conf *messages.ConfState, change *messages.ConfChange) (*messages.ConfState, error) {
	voters, learners := slices.Clone(conf.GetVoters()), slices.Clone(conf.GetLearners())
	voter, learner := slices.Contains(voters, change.Node), slices.Contains(learners, change.Node)
	without := func(ids []uint64) []uint64 {
		return slices.DeleteFunc(ids, func(id uint64) bool { return id == change.Node })
	}
	switch {
	case change.Node == 0:
		return nil, fmt.Errorf("%w: node 0", ErrInvalidConf)
	case change.Kind == messages.ConfChange_ADD_LEARNER && !voter && !learner:
		learners = append(learners, change.Node)
	case change.Kind == messages.ConfChange_PROMOTE && learner:
		learners, voters = without(learners), append(voters, change.Node)
	case change.Kind == messages.ConfChange_REMOVE && (learner || voter && len(voters) > 1):
		learners, voters = without(learners), without(voters)
	default:
		return nil, fmt.Errorf("%w: %s %d among voters %v, learners %v", ErrInvalidConf, change.Kind, change.Node, voters, learners)
	}
	slices.Sort(voters)
	slices.Sort(learners)
	return &messages.ConfState{Voters: voters, Learners: learners}, nil
}

// ApplyConfEntry gives the membership after an entry. Entries of commands, and changes that make no sense any more
// at their place in the log, leave it as it is: on every replica alike.
func ApplyConfEntry(conf *messages.ConfState, entry *messages.Entry) (*messages.ConfState, error) {
	if entry.Kind != messages.EntryKind_CONF_CHANGE {
		return conf, nil
	}
	change := new(messages.ConfChange)
	if len(entry.Commands) != 1 || proto.Unmarshal(entry.Commands[0], change) != nil {
		return nil, fmt.Errorf("raft: entry %d is a membership change that cannot be read", entry.Index)
	}
	if next, err := applyConf(conf, change); err == nil {
		return next, nil
	}
	return conf, nil
}

// changeConf lets a committed membership change take effect. A leader that removed itself has served until now, and
// steps down (thesis 4.2.2).
func (c *Core) changeConf(entry *messages.Entry) {
	conf, err := ApplyConfEntry(c.conf, entry)
	if err != nil {
		c.broken("%v", err)
		return
	}
	c.conf = conf
	if c.role != Leader {
		return
	}
	if !c.voter(c.cfg.ID) {
		c.become(Follower, c.term, 0)
		return
	}
	if c.transfer != 0 && !c.voter(c.transfer) {
		c.transfer = 0
	}
	c.track()
	c.advance() // a smaller quorum may already be there
	c.confirmReads()
}
