package persistence

import "fmt"

// Directory is the pair of engines that a data directory consists of. Each carries the identity of the directory, so that half
// of a directory (a volume that is not mounted, a table of contents that was cut off), or two halves of different directories, is
// refused before the node sends anything: a node that has lost its log must not take part under its old id, nor bootstrap a cluster over
// its old data.
type Directory struct{ Log, State Engine }

// engineOwner is the identity that one engine of a directory carries.
type engineOwner struct {
	id    Identity
	found bool // there is an identity record
	empty bool // there is nothing at all
}

func readOwner(engine Engine) (h engineOwner, err error) {
	if h.id, h.found, err = LoadIdentity(engine); err != nil || h.found {
		return h, err
	}
	h.empty = true
	err = engine.Scan(nil, nil, func(_, _ []byte) bool {
		h.empty = false
		return false
	})
	return h, err
}

// Identity checks that both engines belong to one directory, and returns its identity; found is false if the directory is new. It writes
// nothing. It fails with a MismatchError, or a CorruptError.
func (d Directory) Identity() (id Identity, found bool, err error) {
	log, err := readOwner(d.Log)
	if err != nil {
		return Identity{}, false, fmt.Errorf("log/: %w", err)
	}
	state, err := readOwner(d.State)
	if err != nil {
		return Identity{}, false, fmt.Errorf("state/: %w", err)
	}
	return log.id, log.found, checkOwners(log, state)
}

// MismatchError tells that the two engines of a data directory do not belong together, and what the operator should do.
type MismatchError struct{ What string }

func (e *MismatchError) Error() string { return "the data directory is not whole: " + e.What }

// checkOwners fails, with a MismatchError, unless two engines belong to one directory. The state engine's identity is written first in
// a fresh directory, and second when the node becomes a member. Directories that were written before the state engine had an
// identity are not Paired.
func checkOwners(log, state engineOwner) error {
	const lost = "If it is lost, the node's data is lost with it: empty the whole data directory, and the node joins again as a new one"
	mixed := func(format string, args ...any) error { return &MismatchError{fmt.Sprintf(format, args...)} }
	switch {
	case !log.found && !log.empty:
		return &CorruptError{Where: "log/", What: "it has records but no identity; " + ReplaceNode}
	case !log.found && state.found && state.id.Cluster != 0:
		return mixed("log/ is empty, but state/ belongs to %s: is the volume of log/ mounted? %s", state.id, lost)
	case !log.found && !state.found && !state.empty:
		return mixed("log/ is empty, but state/ holds a node's data: is the volume of log/ mounted? %s", lost)
	case !log.found:
		return nil // new, or its very first start was interrupted
	case !state.found && log.id.Paired:
		return mixed("log/ belongs to %s, but state/ has lost its identity: is the volume of state/ mounted? %s", log.id, lost)
	case !state.found && !state.empty && log.id.Cluster == 0:
		return mixed("log/ belongs to no cluster, but state/ holds a node's data: they are of two directories, or log/ is older than " +
			"state/. Put back what belongs together, or empty the whole data directory")
	case !state.found:
		return nil // written before there were two identities, or before its first start was done
	case state.id.Token != log.id.Token:
		return mixed("log/ belongs to %s and state/ to %s: put back what belongs together, or empty the whole data directory, "+
			"and the node joins as a new one", log.id, state.id)
	case state.id.Cluster != 0 && (state.id.Cluster != log.id.Cluster || state.id.Node != log.id.Node):
		return mixed("state/ belongs to %s, but log/ to %s: log/ is an older copy: empty the whole data directory, and the node "+
			"joins as a new one", state.id, log.id)
	}
	return nil
}

// String names the owner of a directory in error texts.
func (id Identity) String() string {
	if id.Cluster == 0 {
		return fmt.Sprintf("node %q, of no cluster yet (directory %016x)", id.Name, id.Token)
	}
	return fmt.Sprintf("node %d (%s) of cluster %016x (directory %016x)", id.Node, id.Name, id.Cluster, id.Token)
}

// StartEpoch begins a boot of the node: it checks that the engines belong together, draws a token for a new directory, raises the epoch and
// makes that durable. The node must not send anything before it returns. A directory that another node name has used is refused: two
// names for one identity mix up data.
func (d Directory) StartEpoch(name string, draw func() uint64) (Identity, error) {
	id, found, err := d.Identity()
	if err != nil {
		return Identity{}, err
	}
	if !found {
		id = Identity{Name: name, Token: draw() | 1}
	}
	if id.Name != name {
		return Identity{}, fmt.Errorf("the data directory belongs to node %q, not %q: "+
			"start it with --name %s, or give this node a directory of its own", id.Name, name, id.Name)
	}
	id.Epoch = id.Epoch.Next(draw())
	id.Paired = true
	if err := d.copyIdentity(id); err != nil {
		return Identity{}, err
	}
	return id, saveIdentity(d.Log, id)
}

// copyIdentity brings the state engine's copy of the identity up to date: in a new directory, in one that was written before there was a
// copy, and where JoinCluster was interrupted.
func (d Directory) copyIdentity(id Identity) error {
	state, _, err := LoadIdentity(d.State)
	if err != nil || state.Token == id.Token && state.Cluster == id.Cluster {
		return err
	}
	return saveIdentity(d.State, id)
}

// JoinCluster makes the directory that of a member of a cluster, for good. The node must not send anything as that member before it returns.
func (d Directory) JoinCluster(id Identity) error {
	if err := saveIdentity(d.Log, id); err != nil {
		return err
	}
	return saveIdentity(d.State, id)
}

// RaiseLevel makes a higher Level of the directory's identity durable. The node must not tell others of it before it returns.
func (d Directory) RaiseLevel(id Identity) error { return saveIdentity(d.Log, id) }
