// Package meta is the config chain as a deterministic Machine: every config version is made from the one before by
// one committed command, and every version stays readable. Plan says what placement wants next.
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
//	c<version>, d<version>  the chain of Configs, see chain.go
//	r<session>              what the session was answered, so that a retry is not applied again
type Machine struct {
	config   *messages.Config // the newest, nil before the birth; never changed once set
	sessions sessionTable
	view     *View // nil: it must be made anew
}

// View is what a Machine knows at one moment; it never changes.
type View struct {
	Config   *messages.Config
	sessions map[uint64]*session
}

// GetConfig is the newest config, nil before the birth.
func (v *View) GetConfig() *messages.Config {
	if v == nil {
		return nil
	}
	return v.Config
}

// Answered tells whether a command has been answered: it is asked again since its answer was lost, and Apply answers as before.
func (v *View) Answered(command []byte) bool {
	id, seq := messages.RequestID(command)
	return v != nil && id != 0 && v.sessions[id].answered(seq)
}

// New makes a Machine; Open gives it its state.
func New() *Machine { return &Machine{} }

// Open implements raftactor.Machine.
func (m *Machine) Open(store persistence.Reader) error {
	config, err := newestConfig(store)
	if err != nil {
		return fmt.Errorf("read the config chain: %w", err)
	}
	*m = Machine{config: config}
	m.sessions, err = openSessionTable(store)
	return err
}

// View implements raftactor.Viewer: a *View, nil before the birth.
func (m *Machine) View() any {
	if m.config == nil {
		return nil
	}
	if m.view == nil {
		m.view = &View{m.config, m.sessions.all}
	}
	return m.view
}

// Apply implements raftactor.Machine. A refused command leaves no version behind.
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

// following is the config that a command makes of one; nil: it changes nothing.
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

// recordMoves notes for every bucket that changed hands who had it, since when it has not, and that it must be brought;
// or, if it was on its way already, that it was called back.
func recordMoves(before, next *messages.Config) {
	if len(next.PreviousOwners) != len(next.Owners) {
		next.PreviousOwners, next.MovedVersions = make([]uint64, len(next.Owners)), make([]uint64, len(next.Owners))
	}
	for b := range next.Owners {
		if before != nil && before.Owners[b] != next.Owners[b] {
			next.PreviousOwners[b], next.MovedVersions[b] = before.Owners[b], next.Version
			i, moving := slices.BinarySearch(next.MovesPending, uint32(b))
			if !moving {
				next.MovesPending = slices.Insert(next.MovesPending, i, uint32(b))
				continue
			}
			j, _ := slices.BinarySearch(next.Reverting, uint32(b))
			next.Reverting = slices.Insert(next.Reverting, j, uint32(b))
		}
	}
}

// recordNodeStates notes since when nodes are in the state they are in.
func recordNodeStates(before, next *messages.Config) {
	for _, n := range next.Nodes {
		if old := findNode(before, n.Id); old == nil || old.State != n.State || old.Removed != n.Removed {
			n.StateSinceMs = next.TimeMs
		}
	}
}

// maxListedVersions is how many versions one query lists.
const maxListedVersions = 1000

// maxListedBytes is how many bytes of them: the newest.
const maxListedBytes = 1 << 20

// listed is what a version takes in a list, at most.
func listedBytes(config *messages.Config) int { return proto.Size(config) + 8 }

// Query implements raftactor.Machine.
func (m *Machine) Query(store persistence.Reader, query []byte) (*messages.Reply, error) {
	q := new(messages.Query)
	if err := proto.Unmarshal(query, q); err != nil {
		return &messages.Reply{Code: messages.Code_INVALID, Text: "query cannot be read"}, nil
	}
	reply := &messages.Reply{Session: q.Session, Seq: q.Seq, Meta: &messages.MetaReply{}}
	if m.config == nil {
		reply.Code, reply.Text = messages.Code_UNAVAILABLE, "the cluster is not born yet"
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
