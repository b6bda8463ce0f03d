package raft

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// forcedTerms is how far a forced quorum's term is above the last one known: no election that those who are lost may still
// have held among themselves is newer.
const forcedTerms = 1000

// Forced is what a replica's log gets when it is made the only voter of a group that has lost its majority.
type Forced struct {
	Entry     *messages.Entry
	HardState *messages.HardState
	Lost      []uint64 // voters whose word does not count any more
	Committed uint64   // known to be committed before; what the log has behind it is taken for committed
}

// ForceQuorum makes self the only voter of its group, by an entry that no quorum has agreed to. It must only be written
// when the other voters will never come back: what only they have is lost, and if they do come back they lead another
// history of the same group. Whoever has the newest log of those that are left (higher last term, then higher last index)
// has everything that any of them knows to be committed.
func ForceQuorum(boot Boot, self uint64) (Forced, error) {
	var l log
	if err := l.open(boot.Snapshot, boot.Entries); err != nil {
		return Forced{}, err
	}
	conf := l.start.Conf
	for _, e := range l.entries {
		next, err := ApplyConfEntry(conf, e)
		if err != nil {
			return Forced{}, err
		}
		conf = next
	}
	lost := slices.DeleteFunc(slices.Concat(conf.GetVoters(), conf.GetOutgoing()), func(id uint64) bool { return id == self })
	slices.Sort(lost)
	lost = slices.Compact(lost)
	switch {
	case !slices.Contains(Members(conf), self):
		return Forced{}, fmt.Errorf("node %d is no member of the group, whose voters are %v", self, conf.GetVoters())
	case len(lost) == 0:
		return Forced{}, fmt.Errorf("node %d is the only voter of the group: it needs nobody else", self)
	}
	body, err := proto.Marshal(&messages.ConfChange{Kind: messages.ConfChange_FORCE, Node: self})
	if err != nil {
		return Forced{}, err
	}
	term := max(boot.HardState.GetTerm(), l.lastTerm()) + forcedTerms
	f := Forced{Lost: lost, Committed: min(boot.HardState.GetCommit(), l.last())}
	f.Entry = &messages.Entry{
		Index: l.last() + 1, Term: term, Kind: messages.EntryKind_CONF_CHANGE, TimeMs: l.lastTime(), Data: body,
	}
	f.HardState = &messages.HardState{Term: term, Vote: self, Commit: f.Entry.Index}
	return f, nil
}
