package raft

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// A membership changes in one of two ways. One replica at a time (thesis 4.1): majorities of before and after always overlap. Or several
// at once, through a joint membership (thesis 4.3), in which the old and the new voters must both agree; as soon as that has taken
// effect the leader proposes to leave it. A change takes effect when its entry is committed and handed out in Ready.Apply. There is
// one change at a time.

// ProposeConf appends a membership change. It is refused with ErrConfPending while another one is under way, the
// membership is joint, or the leader has not committed in its own term yet: otherwise two leaders could change the
// same membership without a common quorum.
func (c *Core) ProposeConf(change *messages.ConfChange) (index, term uint64, err error) {
	switch {
	case c.role != Leader:
		return 0, 0, ErrNotLeader
	case c.transferee != 0:
		return 0, 0, ErrTransferring
	case !c.confSettled() || joint(c.conf):
		return 0, 0, ErrConfPending
	case change.Kind == messages.ConfChange_FORCE:
		return 0, 0, fmt.Errorf("%w: nobody proposes a forced quorum", ErrInvalidConf)
	}
	if _, err := applyConf(c.conf, change); err != nil {
		return 0, 0, err
	}
	return c.logConf(change)
}

// confSettled tells whether a leader may change the membership: the one it knows is the newest.
func (c *Core) confSettled() bool {
	return c.confPending <= c.emitted && c.log.term(c.commit) == c.term
}

func (c *Core) logConf(change *messages.ConfChange) (index, term uint64, err error) {
	body, err := proto.Marshal(change)
	if err != nil {
		return 0, 0, err
	}
	e := &messages.Entry{
		Index: c.log.last() + 1, Term: c.term, TimeMs: c.LogTime(),
		Kind: messages.EntryKind_CONF_CHANGE, Data: body, Level: c.level,
	}
	c.Wake()
	c.log.append([]*messages.Entry{e})
	c.confPending = e.Index
	return e.Index, e.Term, nil
}

// leaveJoint proposes the end of a joint membership that has taken effect. Every leader does, also one that finds it in its log; a
// leader that transfers its leadership leaves it to the next.
func (c *Core) leaveJoint() {
	if c.role != Leader || !joint(c.conf) || !c.confSettled() || c.transferee != 0 {
		return
	}
	if _, _, err := c.logConf(&messages.ConfChange{Kind: messages.ConfChange_LEAVE}); err != nil {
		c.broken("the end of a joint membership cannot be encoded: %v", err)
	}
}

// Members are the ids of all replicas of a membership, ascending.
func Members(conf *messages.ConfState) []uint64 {
	all := slices.Concat(conf.GetVoters(), conf.GetOutgoing(), conf.GetLearners())
	slices.Sort(all)
	return slices.Compact(all)
}

// joint tells whether both halves of a membership decide.
func joint(conf *messages.ConfState) bool { return len(conf.GetOutgoing()) > 0 }

// voter tells whether a replica is a voter, in either half of a joint membership.
func (c *Core) voter(id uint64) bool {
	return slices.Contains(c.conf.GetVoters(), id) || slices.Contains(c.conf.GetOutgoing(), id)
}

// isIncomingVoter tells whether a replica is a voter, and will be one when a joint membership is left.
func (c *Core) isIncomingVoter(id uint64) bool { return slices.Contains(c.conf.GetVoters(), id) }

// applyConf gives the membership after a change, or ErrInvalidConf.
func applyConf(conf *messages.ConfState, change *messages.ConfChange) (*messages.ConfState, error) {
	next := &messages.ConfState{
		Voters: slices.Clone(conf.GetVoters()), Learners: slices.Clone(conf.GetLearners()),
	}
	var err error
	switch {
	case change.Kind == messages.ConfChange_FORCE: // see ForceQuorum
		return &messages.ConfState{Voters: []uint64{change.Node}}, nil
	case change.Kind == messages.ConfChange_LEAVE && joint(conf):
		next.Learners = append(next.Learners, conf.LearnersNext...)
	case change.Kind == messages.ConfChange_LEAVE || joint(conf):
		return nil, fmt.Errorf("%w: %s while outgoing voters are %v", ErrInvalidConf, change.Kind, conf.GetOutgoing())
	case change.Kind == messages.ConfChange_JOINT:
		next.Outgoing = slices.Clone(conf.GetVoters())
		err = moveAll(next, change.Changes)
	default:
		err = move(next, change)
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(next.Voters)
	slices.Sort(next.Learners)
	slices.Sort(next.LearnersNext)
	return next, nil
}

// moveAll carries out the changes of a joint change: each is about another replica, so their order does not matter.
func moveAll(next *messages.ConfState, changes []*messages.ConfChange) error {
	var seen []uint64
	for _, change := range changes {
		if slices.Contains(seen, change.Node) {
			return fmt.Errorf("%w: %d twice in a joint change", ErrInvalidConf, change.Node)
		}
		seen = append(seen, change.Node)
	}
	for _, kind := range []messages.ConfChange_Kind{ // newcomers first: the last voters may go when others have come
		messages.ConfChange_ADD_LEARNER, messages.ConfChange_PROMOTE, messages.ConfChange_DEMOTE, messages.ConfChange_REMOVE,
	} {
		for _, change := range changes {
			if change.Kind != kind {
				continue
			}
			if err := move(next, change); err != nil {
				return err
			}
			seen = seen[1:]
		}
	}
	if len(changes) == 0 || len(seen) > 0 {
		return fmt.Errorf("%w: a joint change of no or of other joint changes", ErrInvalidConf)
	}
	return nil
}

// move carries out the change of one replica. A voter that becomes a learner stays one of the outgoing half until a
// joint membership is left, so it is a learner only then.
func move(conf *messages.ConfState, change *messages.ConfChange) error {
	node := change.Node
	voter, learner := slices.Contains(conf.Voters, node), slices.Contains(conf.Learners, node)
	drop := func(ids []uint64) []uint64 {
		return slices.DeleteFunc(ids, func(id uint64) bool { return id == node })
	}
	switch leaves := voter && len(conf.Voters) > 1; {
	case node == 0:
		return fmt.Errorf("%w: node 0", ErrInvalidConf)
	case change.Kind == messages.ConfChange_ADD_LEARNER && !voter && !learner:
		conf.Learners = append(conf.Learners, node)
	case change.Kind == messages.ConfChange_PROMOTE && learner:
		conf.Learners, conf.Voters = drop(conf.Learners), append(conf.Voters, node)
	case change.Kind == messages.ConfChange_REMOVE && (learner || leaves):
		conf.Learners, conf.Voters = drop(conf.Learners), drop(conf.Voters)
	case change.Kind == messages.ConfChange_DEMOTE && leaves && joint(conf):
		conf.Voters, conf.LearnersNext = drop(conf.Voters), append(conf.LearnersNext, node)
	case change.Kind == messages.ConfChange_DEMOTE && leaves:
		conf.Voters, conf.Learners = drop(conf.Voters), append(conf.Learners, node)
	default:
		return fmt.Errorf("%w: %s %d among voters %v, learners %v", ErrInvalidConf, change.Kind, node, conf.Voters, conf.Learners)
	}
	return nil
}

// ApplyConfEntry gives the membership after an entry. Entries of commands, and changes that make no sense any more
// at their place in the log, leave it as it is: on every replica alike.
func ApplyConfEntry(conf *messages.ConfState, entry *messages.Entry) (*messages.ConfState, error) {
	if entry.Kind != messages.EntryKind_CONF_CHANGE {
		return conf, nil
	}
	change := new(messages.ConfChange)
	if _, err := messages.ConfChangeLevel(entry.Data); err != nil {
		return nil, fmt.Errorf("raft: entry %d is a membership change that cannot be read: %w", entry.Index, err)
	}
	if proto.Unmarshal(entry.Data, change) != nil {
		return nil, fmt.Errorf("raft: entry %d is a membership change that cannot be read", entry.Index)
	}
	if next, err := applyConf(conf, change); err == nil {
		return next, nil
	}
	return conf, nil
}

// confAhead is the membership after all changes in the log, also those that have not taken effect.
func (c *Core) confAhead() *messages.ConfState {
	conf := c.conf
	for _, e := range c.log.slice(c.emitted+1, c.log.last()) {
		if next, err := ApplyConfEntry(conf, e); err == nil {
			conf = next
		}
	}
	return conf
}

// changeConf lets a committed membership change take effect.
func (c *Core) changeConf(entry *messages.Entry) {
	conf, err := ApplyConfEntry(c.conf, entry)
	if err != nil {
		c.broken("%v", err)
		return
	}
	c.conf, c.confAt = conf, entry.Index
	if c.role != Leader {
		return
	}
	c.trackFollowers()
	if !c.voter(c.cfg.ID) {
		c.stepDownRemoved()
		return
	}
	if c.transferee != 0 && !c.isIncomingVoter(c.transferee) {
		c.transferee = 0
	}
	c.advance() // a smaller quorum may already be there
	c.confirmReads()
}
