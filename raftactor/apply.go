package raftactor

import (
	"fmt"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// apply runs committed entries in log order. The index that the data is at moves with each entry, in memory; it is on the disk with the
// state batch. An entry that cannot be applied stops the node.
func (a *Applier) apply(m apply) {
	for i, entry := range m.entries {
		if entry.Index != a.state.Index+1 {
			a.fail(fmt.Errorf("entry %d came after entry %d", entry.Index, a.state.Index))
			return
		}
		if err := a.checkSupported(entry); err != nil {
			a.fail(err)
			return
		}
		conf := a.state.Conf
		if entry.Kind == messages.EntryKind_CONF_CHANGE {
			next, err := raft.ApplyConfEntry(conf, entry)
			if err != nil {
				a.fail(err)
				return
			}
			conf = next
		} else if !a.applyCommands(entry, m.proposals[i]) {
			return
		}
		a.state = &messages.SnapshotMeta{Index: entry.Index, Term: entry.Term, TimeMs: entry.TimeMs, Conf: conf}
	}
}

// checkSupported fails for an entry that has more than this program knows: a replica that ignored it would have other data than the
// replicas that do not.
func (a *Applier) checkSupported(entry *messages.Entry) error {
	if level := messages.Level(entry.Level); level > a.options.Level {
		return fmt.Errorf("entry %d needs feature level %d, but this eraft has %d: start the eraft that ran here before, or a newer one",
			entry.Index, level, a.options.Level)
	}
	if entry.Kind > messages.EntryKind_CONF_CHANGE || len(entry.ProtoReflect().GetUnknown()) > 0 {
		return fmt.Errorf("entry %d is of a kind or has a field that is not known here: a newer eraft made it; start that one", entry.Index)
	}
	return nil
}

func (a *Applier) applyCommands(entry *messages.Entry, p *proposal) bool {
	at := Position{
		Group: a.options.Group, Index: entry.Index, Term: entry.Term, TimeMs: entry.TimeMs, Level: max(messages.FirstLevel, messages.Level(entry.Level)),
	}
	for i, command := range messages.Block(entry.Data).Commands() {
		reply, err := a.options.Machine.Apply(a.batch, at, command)
		if err != nil {
			a.fail(fmt.Errorf("entry %d, command %d: %w", entry.Index, i, err))
			return false
		}
		if a.options.OnApply != nil {
			a.options.OnApply(a.options.Node, at, command, reply)
		}
		if to, ok := p.recipient(i); ok {
			if at.Level >= messages.DeadlineLevel {
				a.replies.setTime(entry.TimeMs)
			}
			a.replies.add(to, reply)
		}
	}
	return true
}
