package clustertest

import (
	"fmt"
	"hash/crc64"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/raftactor"
	"github.com/eraft-io/eraft/router"
)

// Oracle watches every step of a Simulation and knows what must never be seen. What it found ends the run.
type Oracle struct {
	s          *Simulation
	leaders    map[[2]uint64]messages.NodeID // (group, term) -> who led
	entries    map[entryAt][]uint64          // hashes of the commands that were applied there, and of their answers
	newest     map[messages.GroupID]*Member  // who was elected last
	changes    map[uint64]string             // config version -> change
	expected   func(m *Member, err error) bool
	promises   promises
	custody    custody
	config     *messages.Config   // the newest that meta has made
	most       map[string]int     // bytes of a message of each type
	cluster    messages.ClusterID // that the first node has founded
	stack      string             // of the last panic
	Violations []string
	Elections  int
	Applied    int
	Snapshots  int
}

func newOracle(s *Simulation) *Oracle {
	return &Oracle{
		s: s, leaders: map[[2]uint64]messages.NodeID{}, entries: map[entryAt][]uint64{}, changes: map[uint64]string{},
		newest: map[messages.GroupID]*Member{}, promises: newPromises(), custody: newCustody(s.o.Buckets),
		most: mostOf(router.Rules()),
	}
}

func mostOf(rules []actors.Rule) map[string]int {
	most := map[string]int{}
	for _, rule := range rules {
		most[rule.Type] = min(rule.MaxBytes, messages.MaxMessageBytes)
	}
	return most
}

// measured checks that a message is no larger than those of its type may be: the network would not carry it. Nor is an entry
// that more than one command is in.
func (o *Oracle) measured(e actortest.Envelope) {
	name := string(e.Message.ProtoReflect().Descriptor().FullName())
	if size := proto.Size(e.Message); size > o.most[name] {
		o.violated("What is made can be sent", "%s to %s has %d bytes, %d are possible", name, e.Target, size, o.most[name])
	}
	m, ok := e.Message.(*messages.RaftMessages)
	if !ok {
		return
	}
	most := o.s.o.Limits.WithDefaults().EntryBytes
	for _, r := range m.Messages {
		for _, entry := range r.Entries {
			if len(entry.Data) <= most || entry.Kind != messages.EntryKind_COMMANDS {
				continue
			}
			for nth := range messages.Block(entry.Data).Commands() {
				if nth > 0 {
					o.violated("What is made can be sent", "entry %d of group %d joins commands to %d bytes, %d are possible", entry.Index, r.Group, len(entry.Data), most)
					break
				}
			}
		}
	}
}

func (o *Oracle) violated(rule, format string, args ...any) {
	o.Violations = append(o.Violations, fmt.Sprintf("%v: %s: %s", o.s.Now(), rule, fmt.Sprintf(format, args...)))
}

// Expect says which failures of nodes are the consequence of a fault that was asked for.
func (o *Oracle) Expect(f func(m *Member, err error) bool) { o.expected = f }

// failed hears of a node that ended by itself. Without a broken disk no node ever does.
func (o *Oracle) failed(m *Member, err error) {
	if o.expected == nil || !o.expected(m, err) {
		o.violated("No node fails by itself", "n%d: %v", m.number, err)
	}
}

func (o *Oracle) event(m *Member, e actors.Event) {
	switch e := e.(type) {
	case raftactor.LeaderChanged:
		o.promises.roles[replicaOf{m.number, e.Group}] = roleIn{e.Role, e.Term}
		if e.Role == "leader" {
			o.leads(e)
			o.elected(m, e.Group, e.Term)
			o.newest[e.Group] = m
		}
	case raftactor.SnapshotInstalled:
		o.Snapshots++
		delete(m.cursor, e.Group) // it may go on with the index that it has seen last
	case cluster.Joined:
		if o.know(m); o.cluster == 0 {
			o.cluster = e.Cluster
		}
		if e.Cluster != o.cluster {
			o.violated("One cluster is founded", "n%d belongs to cluster %v, others to %v", m.number, e.Cluster, o.cluster)
		}
	case cluster.ConfigAdopted:
		o.chained(&messages.Config{Version: e.Version, Change: e.Change})
		if e.Version < m.config {
			o.violated("Configs only get newer", "n%d goes back from config %d to %d", m.number, m.config, e.Version)
		}
		m.config = e.Version
	case actors.ActorFailed:
		o.violated("No actor fails", "n%d: %s: %v\n%s", m.number, e.Path, e.Reason, o.stack)
	}
}

// panicked hears of every panic before the supervisor does, and leaves it to it.
func (o *Oracle) panicked(p actortest.Panic) bool {
	o.stack = p.Stack
	return true
}

// chained checks that there is one config of each version.
func (o *Oracle) chained(config *messages.Config) {
	if was, ok := o.changes[config.Version]; ok && was != config.Change {
		o.violated("Config chain is single", "version %d is %q and %q", config.Version, was, config.Change)
	}
	o.changes[config.Version] = config.Change
}

// leads checks Election Safety (thesis 3.4).
func (o *Oracle) leads(e raftactor.LeaderChanged) {
	at := [2]uint64{uint64(e.Group), e.Term}
	if was, ok := o.leaders[at]; ok && was != e.Leader {
		o.violated("Election Safety", "nodes %d and %d lead group %d in term %d", was, e.Leader, e.Group, e.Term)
	}
	if _, ok := o.leaders[at]; !ok {
		o.Elections++
	}
	o.leaders[at] = e.Leader
}

var polynomial = crc64.MakeTable(crc64.ECMA)

// applied checks State Machine Safety (thesis 3.6.3), which also says that what is committed never changes and that
// leaders have all of it: at an index of a group's log all replicas, and all lives of one, apply the same commands, and
// their Machines say the same to them.
func (o *Oracle) applied(m *Member, at raftactor.Position, command []byte, reply *messages.Reply) {
	o.Applied++
	if m.Level != 0 && at.Level > m.Level {
		o.violated("Nothing is applied that is not understood", "n%d has level %d, entry %d of group %d level %d", m.number, m.Level, at.Index, at.Group, at.Level)
	}
	said, err := proto.MarshalOptions{Deterministic: true}.Marshal(reply)
	if err != nil {
		o.violated("No actor fails", "n%d: an answer that cannot be encoded: %v", m.number, err)
	}
	answer := crc64.Checksum(said, polynomial)
	sum := crc64.Checksum(command, polynomial) ^ at.Term*0x9E3779B97F4A7C15 ^ answer<<1
	now := m.cursor[at.Group]
	if now.index != at.Index {
		now = cursor{index: at.Index}
		o.persisted(m, at)
	}
	entry := entryAt{at.Group, at.Index}
	switch sums := o.entries[entry]; {
	case now.nth == len(sums):
		o.entries[entry] = append(sums, sum)
		o.committed(m, at.Group, at.Index, at.Term)
		o.custody.applied(o, at.Group, at.Index, command, reply, answer)
	case sums[now.nth] != sum:
		o.violated("State Machine Safety", "n%d applies or answers something else than others at index %d of group %d", m.number, at.Index, at.Group)
	}
	now.nth++
	m.cursor[at.Group] = now
}

type entryAt struct {
	group messages.GroupID
	index uint64
}

// cursor is where in a group's log a life is: the commands of an entry are told apart by their number.
type cursor struct {
	index uint64
	nth   int
}
