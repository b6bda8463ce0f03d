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

// Oracle observes every step of a Simulation and checks its rules. A violation ends the run.
type Oracle struct {
	s             *Simulation
	leaders       map[[2]uint64]messages.NodeID // (group, term) -> leader
	entries       map[logPosition][]uint64      // checksums of the commands of an entry and of their replies
	lastElected   map[messages.GroupID]*SimNode // node that was elected leader last
	configChanges map[uint64]string             // config version -> Config.Change
	expected      func(m *SimNode, err error) bool
	raft          raftInvariants
	ownership     ownershipChecker
	config        *messages.Config   // newest config that group 0 has created
	maxSizes      map[string]int     // message type -> bytes that a message of it may have
	cluster       messages.ClusterID // of the first node that has joined
	stack         string             // of the last panic
	Violations    []string
	Elections     int
	Applied       int
	Snapshots     int
}

func newOracle(s *Simulation) *Oracle {
	return &Oracle{
		s: s, leaders: map[[2]uint64]messages.NodeID{}, entries: map[logPosition][]uint64{}, configChanges: map[uint64]string{},
		lastElected: map[messages.GroupID]*SimNode{}, raft: newRaftInvariants(), ownership: newOwnershipChecker(s.o.Buckets),
		maxSizes: maxSizesOf(router.Rules()),
	}
}

func maxSizesOf(rules []actors.Rule) map[string]int {
	most := map[string]int{}
	for _, rule := range rules {
		most[rule.Type] = min(rule.MaxBytes, messages.MaxMessageBytes)
	}
	return most
}

// checkSize checks that a message is not larger than the network allows for its type, and that an entry with several commands is not
// larger than Limits.EntryBytes.
func (o *Oracle) checkSize(e actortest.Envelope) {
	name := string(e.Message.ProtoReflect().Descriptor().FullName())
	if size := proto.Size(e.Message); size > o.maxSizes[name] {
		o.violated("Messages fit their size limits", "%s to %s has %d bytes, %d are possible", name, e.Target, size, o.maxSizes[name])
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
					o.violated("Messages fit their size limits", "entry %d of group %d joins commands to %d bytes, %d are possible", entry.Index, r.Group, len(entry.Data), most)
					break
				}
			}
		}
	}
}

func (o *Oracle) violated(rule, format string, args ...any) {
	o.Violations = append(o.Violations, fmt.Sprintf("%v: %s: %s", o.s.Now(), rule, fmt.Sprintf(format, args...)))
}

// Expect sets which failures of nodes are the consequence of an injected fault, and so no violation.
func (o *Oracle) Expect(f func(m *SimNode, err error) bool) { o.expected = f }

// onNodeFailed is called with a node that stopped by itself. Without a broken disk no node does.
func (o *Oracle) onNodeFailed(m *SimNode, err error) {
	if o.expected == nil || !o.expected(m, err) {
		o.violated("No node fails by itself", "n%d: %v", m.number, err)
	}
}

func (o *Oracle) onEvent(m *SimNode, e actors.Event) {
	switch e := e.(type) {
	case raftactor.LeaderChanged:
		o.raft.roles[replicaID{m.number, e.Group}] = roleInTerm{e.Role, e.Term}
		if e.Role == "leader" {
			o.checkElectionSafety(e)
			o.checkLeaderCompleteness(m, e.Group, e.Term)
			o.lastElected[e.Group] = m
		}
	case raftactor.SnapshotInstalled:
		o.Snapshots++
		delete(m.cursor, e.Group) // the replica may apply the same index again
	case cluster.Joined:
		if o.noteIdentity(m); o.cluster == 0 {
			o.cluster = e.Cluster
		}
		if e.Cluster != o.cluster {
			o.violated("One cluster is bootstrapped", "n%d belongs to cluster %v, others to %v", m.number, e.Cluster, o.cluster)
		}
	case cluster.ConfigAdopted:
		o.checkConfigChain(&messages.Config{Version: e.Version, Change: e.Change})
		if e.Version < m.configVersion {
			o.violated("Configs never go back", "n%d goes back from config %d to %d", m.number, m.configVersion, e.Version)
		}
		m.configVersion = e.Version
	case actors.ActorFailed:
		o.violated("No actor fails", "n%d: %s: %v\n%s", m.number, e.Path, e.Reason, o.stack)
	}
}

// onPanic keeps the stack of a panic, and leaves the panic to the supervisor.
func (o *Oracle) onPanic(p actortest.Panic) bool {
	o.stack = p.Stack
	return true
}

// checkConfigChain checks that there is one config of each version.
func (o *Oracle) checkConfigChain(config *messages.Config) {
	if was, ok := o.configChanges[config.Version]; ok && was != config.Change {
		o.violated("One config per version", "version %d is %q and %q", config.Version, was, config.Change)
	}
	o.configChanges[config.Version] = config.Change
}

// checkElectionSafety checks Election Safety (thesis 3.4): one leader per group and term.
func (o *Oracle) checkElectionSafety(e raftactor.LeaderChanged) {
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

// onApply checks State Machine Safety (thesis 3.6.3): at an index of a group's log all replicas, before and after restarts, apply the
// same commands, and their Machines give the same replies.
func (o *Oracle) onApply(m *SimNode, at raftactor.Position, command []byte, reply *messages.Reply) {
	o.Applied++
	if m.Level != 0 && at.Level > m.Level {
		o.violated("No entry above the feature level", "n%d has level %d, entry %d of group %d level %d", m.number, m.Level, at.Index, at.Group, at.Level)
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
		o.checkAppliedDurable(m, at)
	}
	entry := logPosition{at.Group, at.Index}
	switch sums := o.entries[entry]; {
	case now.nth == len(sums):
		o.entries[entry] = append(sums, sum)
		o.checkCommitted(m, at.Group, at.Index, at.Term)
		o.ownership.onApply(o, at.Group, at.Index, command, reply, answer)
	case sums[now.nth] != sum:
		o.violated("State Machine Safety", "n%d applies or answers something else than others at index %d of group %d", m.number, at.Index, at.Group)
	}
	now.nth++
	m.cursor[at.Group] = now
}

type logPosition struct {
	group messages.GroupID
	index uint64
}

// cursor is the position of a replica in its group's log since its node was started: entry index, and number of the next command in
// that entry.
type cursor struct {
	index uint64
	nth   int
}
