// Package meta is the state machine of group 0, the config chain. Every version of the config is made from the one before by one
// committed command, and every version stays readable. The config says which nodes and groups there are, where the replicas of
// each group are, and which group owns each bucket; all other groups follow it.
//
// Reading order: machine.go (Apply and Query), check.go and check_node.go (which commands are refused), change.go (what a command
// does to a config), chain.go (versions in the store), session.go (retries), level.go (feature levels), simulate.go (the dry run of
// a rebalance), text.go (configs for people). Package meta/placement decides which commands the leader proposes of its own accord.
package meta

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// Machine is the state machine of group 0. Its store:
//
//	c<version>, d<version>  the config chain: chain.go
//	r<session>              the replies to a session's commands, so that a retry is not applied again: session.go
//
// Its owner is the group's Applier; no method may be called by another goroutine.
type Machine struct {
	config   *messages.Config // the newest version, nil before bootstrap; never changed, only replaced
	sessions sessionTable
	view     *View // nil: config or sessions have changed since it was made
}

// View is what a Machine knows at one moment. It is immutable and may be shared between actors.
type View struct {
	Config   *messages.Config
	sessions map[uint64]*session
}

// GetConfig returns the newest config, nil before bootstrap. A nil View has none.
func (v *View) GetConfig() *messages.Config {
	if v == nil {
		return nil
	}
	return v.Config
}

// Answered reports whether an encoded command was answered before: it is a retry, and Apply replies as the first time.
func (v *View) Answered(command []byte) bool {
	id, seq := messages.RequestID(command)
	return v != nil && id != 0 && v.sessions[id].answered(seq)
}

// New makes a Machine. It has no state before Open.
func New() *Machine { return &Machine{} }

// Open implements raftactor.Machine: it reads the newest config and the sessions from a store.
func (m *Machine) Open(store persistence.Reader) error {
	config, err := newestConfig(store)
	if err != nil {
		return fmt.Errorf("read the config chain: %w", err)
	}
	*m = Machine{config: config}
	m.sessions, err = openSessionTable(store)
	return err
}

// View implements raftactor.Viewer. It returns a *View, nil before bootstrap.
func (m *Machine) View() any {
	if m.config == nil {
		return nil
	}
	if m.view == nil {
		m.view = &View{m.config, m.sessions.all}
	}
	return m.view
}

// Apply implements raftactor.Machine. A command that Check refuses makes no version; its reply has the newest config all the same.
func (m *Machine) Apply(tx persistence.Tx, at persistence.Position, command []byte) (*messages.Reply, error) {
	c, err := new(messages.CommandDecoder).Decode(command, at.Level)
	if err != nil {
		return nil, fmt.Errorf("config command cannot be read: %w", err)
	}
	if known := m.sessions.replyTo(c, m.config); known != nil {
		return known, nil
	}
	if why := m.sessions.admit(c); why != nil {
		return &messages.Reply{Session: c.Session, Seq: c.Seq, Code: why.Code, Text: why.Text}, nil
	}
	m.view = nil
	reply := &messages.Reply{Session: c.Session, Seq: c.Seq, Meta: &messages.MetaReply{}}
	if why := Check(m.config, c.GetMeta()); why != nil {
		reply.Code, reply.Text = why.Code, why.Text
		reply.Meta.Config = m.config
		return reply, m.sessions.save(tx, at, c, reply)
	}
	if next := nextConfig(m.config, c.GetMeta(), at.TimeMs); next != nil {
		if err := appendConfig(tx, m.config, next); err != nil {
			return nil, err
		}
		m.config = next
	}
	reply.Meta.Config = m.config
	if a := c.GetMeta().GetAddNode(); a != nil {
		reply.Meta.Node = nodeByToken(m.config, a.DirectoryToken).GetId()
	}
	return reply, m.sessions.save(tx, at, c, reply)
}

// nextConfig is the version that a command makes of config, which is nil before bootstrap; nil: the command changes nothing.
func nextConfig(config *messages.Config, command *messages.MetaCommand, timeMs uint64) *messages.Config {
	next := applyCommand(config, command)
	if next.Change == "" {
		return nil
	}
	next.Version, next.TimeMs, next.RequestedBy = config.GetVersion()+1, timeMs, command.GetRequestedBy()
	recordMoves(config, next)
	recordNodeStates(config, next)
	if config.FeatureLevel() >= deltaLevel {
		forgetRemovedNodes(next)
	}
	return next
}

// recordMoves records, for every bucket that next gives to another group than before, the previous owner, the version, and that
// the move is pending; or, if a move of it was pending already, that it was called back.
func recordMoves(before, next *messages.Config) {
	if len(next.PreviousOwners) != len(next.Owners) {
		next.PreviousOwners, next.MovedVersions = make([]uint64, len(next.Owners)), make([]uint64, len(next.Owners))
	}
	for b := range next.Owners {
		if before != nil && before.Owners[b] != next.Owners[b] {
			next.PreviousOwners[b], next.MovedVersions[b] = before.Owners[b], next.Version
			i, pending := slices.BinarySearch(next.MovesPending, uint32(b))
			if !pending {
				next.MovesPending = slices.Insert(next.MovesPending, i, uint32(b))
				continue
			}
			j, _ := slices.BinarySearch(next.Reverting, uint32(b))
			next.Reverting = slices.Insert(next.Reverting, j, uint32(b))
		}
	}
}

// recordNodeStates records since when nodes are in their states.
func recordNodeStates(before, next *messages.Config) {
	for _, n := range next.Nodes {
		if old := before.FindNode(n.Id); old == nil || old.State != n.State || old.Removed != n.Removed {
			n.StateSinceMs = next.TimeMs
		}
	}
}

// maxListedVersions is how many versions one query lists, at most.
const maxListedVersions = 1000

// maxListedBytes bounds them in bytes: the newest ones are listed.
const maxListedBytes = 1 << 20

// listedBytes is the bytes that a version takes in a list, at most.
func listedBytes(config *messages.Config) int { return proto.Size(config) + 8 }

// Query implements raftactor.Machine: a version of the config, or the list of versions.
func (m *Machine) Query(store persistence.Reader, query []byte) (*messages.Reply, error) {
	q := new(messages.Query)
	if err := proto.Unmarshal(query, q); err != nil {
		return &messages.Reply{Code: messages.Code_INVALID, Text: "query cannot be read"}, nil
	}
	reply := &messages.Reply{Session: q.Session, Seq: q.Seq, Meta: &messages.MetaReply{}}
	if m.config == nil {
		reply.Code, reply.Text = messages.Code_UNAVAILABLE, "the cluster is not bootstrapped yet"
		return reply, nil
	}
	var err error
	switch op := q.GetMeta().GetOp().(type) {
	case *messages.MetaQuery_Show:
		err = m.show(store, op.Show, reply)
	case *messages.MetaQuery_Log:
		err = m.list(store, op.Log, reply)
	default:
		reply.Code, reply.Text = messages.Code_INVALID, "group 0 answers config queries only"
	}
	return reply, err
}

func (m *Machine) show(store persistence.Reader, version uint64, reply *messages.Reply) error {
	if version == 0 || version == m.config.Version {
		reply.Meta.Config = m.config
		return nil
	}
	if version > m.config.Version {
		reply.Code, reply.Text = messages.Code_INVALID, fmt.Sprintf("config %d does not exist: the newest is %d", version, m.config.Version)
		return nil
	}
	config, err := readConfig(store, version)
	reply.Meta.Config = config
	return err
}

func (m *Machine) list(store persistence.Reader, l *messages.ConfigLog, reply *messages.Reply) error {
	to := l.GetTo()
	if to == 0 || to > m.config.Version {
		to = m.config.Version
	}
	from := max(l.GetFrom(), 1)
	if to >= maxListedVersions {
		from = max(from, to-maxListedVersions+1)
	}
	size, all := 0, reply.Meta.Configs
	for version := from; version <= to; version++ {
		head, err := readHead(store, version)
		if err != nil {
			return err
		}
		all = append(all, head)
		for size += listedBytes(head); size > maxListedBytes; all = all[1:] {
			size -= listedBytes(all[0])
		}
	}
	reply.Meta.Configs = all
	return nil
}
