package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor/raft"
)

// ForcePlan describes what ForceNewQuorum is about to do, for the operator who must confirm it.
type ForcePlan struct {
	Node      messages.NodeID
	Name      string
	Group     messages.GroupID
	Lost      []uint64 // voters that will never vote again
	LastTerm  uint64   // term of the last entry of this node's log, which becomes the group's log. If several nodes are left, force
	LastIndex uint64   // the one with the highest LastTerm, and among those the one with the highest LastIndex
	Committed uint64   // commit index known here; later entries may or may not have been committed
}

// Sentence returns the text that the operator must type to confirm.
func (p ForcePlan) Sentence() string {
	return fmt.Sprintf("group %d loses nodes %s", p.Group, list(p.Lost))
}

func list(ids []uint64) (text string) {
	for i, id := range ids {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprint(id)
	}
	return text
}

// ForceNewQuorum makes the stopped node whose data is in dir the only voter of a group that has lost its majority for ever. It calls
// confirm before it writes anything, and returns confirm's error. When the node starts, it leads the group and reports the forced
// quorum to the config chain, and placement replaces the lost replicas. ForceNewQuorum fails while the node runs.
func ForceNewQuorum(dir string, group messages.GroupID, confirm func(ForcePlan) error) error {
	if _, err := os.Stat(filepath.Join(dir, "log")); err != nil {
		return fmt.Errorf("%s holds no data of a node: name the directory that the node was started with: %w", dir, err)
	}
	lock, err := persistence.LockDir(dir)
	if err != nil {
		return err
	}
	files, err := processFileLimits()
	if err != nil {
		return errors.Join(err, lock.Unlock())
	}
	logEngine, stateEngine, err := openEngines(dir, minCache, files)
	if err != nil {
		return errors.Join(err, lock.Unlock())
	}
	if _, _, err = (persistence.Directory{Log: logEngine, State: stateEngine}).Identity(); err == nil {
		err = ForceNewQuorumOn(logEngine, group, confirm)
	}
	return errors.Join(err, logEngine.Close(), stateEngine.Close(), lock.Unlock())
}

// ForceNewQuorumOn is ForceNewQuorum on an engine that holds a node's logs.
func ForceNewQuorumOn(engine persistence.Engine, group messages.GroupID, confirm func(ForcePlan) error) error {
	id, found, err := persistence.LoadIdentity(engine)
	if err != nil {
		return err
	}
	if !found || id.Node == 0 {
		return errors.New("the directory belongs to no node of a cluster: there is nothing to force")
	}
	log := persistence.OpenLog(engine)
	groups, err := log.Groups()
	if err != nil {
		return err
	}
	if !slices.Contains(groups, group) {
		return fmt.Errorf("node %d has no replica of group %d: its groups are %v", id.Node, group, groups)
	}
	loaded, err := log.Load(group)
	if err != nil {
		return err
	}
	forced, err := raft.ForceQuorum(raft.Boot{HardState: loaded.HardState, Snapshot: loaded.Snapshot, Entries: loaded.Entries}, uint64(id.Node))
	if err != nil {
		return fmt.Errorf("group %d: %w", group, err)
	}
	plan := ForcePlan{
		Node: id.Node, Name: id.Name, Group: group, Lost: forced.Lost, Committed: forced.Committed,
		LastIndex: loaded.Snapshot.Index, LastTerm: loaded.Snapshot.Term,
	}
	if n := len(loaded.Entries); n > 0 {
		plan.LastIndex, plan.LastTerm = loaded.Entries[n-1].Index, loaded.Entries[n-1].Term
	}
	if err := confirm(plan); err != nil {
		return err
	}
	batch := new(persistence.Batch)
	save := persistence.LogUpdate{Group: group, HardState: forced.HardState, Entries: []*messages.Entry{forced.Entry}}
	if err := log.Add(batch, save); err != nil {
		return err
	}
	record := &messages.ForcedQuorum{
		Group: uint64(group), Node: uint64(id.Node), Index: forced.Entry.Index, Term: forced.Entry.Term,
		Lost: forced.Lost, Committed: forced.Committed,
	}
	if err := persistence.PutForcedQuorum(batch, record); err != nil {
		return err
	}
	return engine.Write(batch, true)
}
