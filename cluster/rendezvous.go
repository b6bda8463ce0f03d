package cluster

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// rendezvous decides when a new cluster is founded, and by which node. It is pure; Member carries it.
//
// Nodes without a cluster ask every node that they know and tell each other whom they know. Nodes are told apart by the
// tokens of their directories: addresses say only where to ask. A node that some seed list names may found a cluster. It
// does when all seeds and all others that may found have answered lately that they have no cluster, its token is the lowest
// of those that may found, and enough nodes are there. Whoever answers has on its disk that the asker may found, and tells
// everybody of it, so of two nodes that have one node to ask in common the later one hears of the earlier one, and must
// have its answer as well: see docs/adr/0022. No silence and no restart makes anybody forget a node that may found.
type rendezvous struct {
	self   *messages.BootstrapPeer
	expect int
	alone  bool              // no seeds are named: nobody else is to be asked
	seeds  map[string]uint64 // address -> token of the directory that answered there last; 0: none has
	peers  map[uint64]*peer  // by token
	gone   map[uint64]bool   // tokens of directories that others have taken the places of: what is said of them is old
	busy   bool              // this node founds a cluster, or is admitted to one: its identity is on the way to the disk

	clusters map[uint64]time.Duration // that nodes belong to that have answered, and when they did last
}

// peer is another node without a cluster.
type peer struct {
	*messages.BootstrapPeer
	seen     time.Duration // asked or answered last
	answered time.Duration // that it has no cluster; below 0: never
	busy     bool          // as of its last answer, and so are:
	noted    bool          // it has on its disk that this node may found
	silent   []string      // its own seeds that have not answered
	saving   bool          // that it may found is on its way to this node's disk,
	durable  bool          // and is there
}

const (
	answerAge = 3 * time.Second            // an answer counts for so long
	maxPeers  = messages.MaxBootstrapPeers // that are remembered
	never     = -time.Hour
)

func newRendezvous(self *messages.BootstrapPeer, seeds []string, expect int, noted []*messages.BootstrapPeer) *rendezvous {
	r := &rendezvous{
		self: self, expect: expect, alone: len(seeds) == 0,
		seeds: map[string]uint64{}, peers: map[uint64]*peer{}, gone: map[uint64]bool{}, clusters: map[uint64]time.Duration{},
	}
	self.BootstrapCandidate = r.alone
	for _, seed := range seeds {
		if r.seeds[seed] = 0; seed == self.Address {
			r.seeds[seed], self.BootstrapCandidate = self.DirectoryToken, true
		}
	}
	for _, n := range noted {
		if p := r.note(n, never); p != nil {
			p.durable = true
		}
	}
	return r
}

// note takes what is said of a node; nil: it is this one, or nobody that can be remembered.
func (r *rendezvous) note(n *messages.BootstrapPeer, now time.Duration) *peer {
	if n.DirectoryToken == 0 || n.DirectoryToken == r.self.DirectoryToken || n.Address == "" || messages.CheckBounds(n) != nil {
		return nil
	}
	p := r.peers[n.DirectoryToken]
	if p == nil {
		if len(r.peers) >= maxPeers {
			return nil
		}
		p = &peer{BootstrapPeer: &messages.BootstrapPeer{DirectoryToken: n.DirectoryToken}, seen: now, answered: never}
		r.peers[n.DirectoryToken] = p
	}
	if n.Epoch >= p.Epoch {
		p.Name, p.Address, p.Epoch = n.Name, n.Address, n.Epoch
	}
	p.BootstrapCandidate = p.BootstrapCandidate || n.BootstrapCandidate
	return p
}

// met notes a node that this one has heard itself.
func (r *rendezvous) met(n *messages.BootstrapPeer, now time.Duration) *peer {
	p := r.note(n, now)
	if p != nil {
		p.seen = now
		delete(r.gone, p.DirectoryToken)
	}
	return p
}

// replace forgets directories that have been silent since one that is new under their name is there: a name is one node's.
func (r *rendezvous) replace(by *peer, now time.Duration) (lost []uint64) {
	for token, other := range r.peers {
		if token != by.DirectoryToken && other.Name == by.Name && now-other.seen >= answerAge {
			delete(r.peers, token)
			if lost = append(lost, token); len(r.gone) < maxPeers {
				r.gone[token] = true
			}
		}
	}
	slices.Sort(lost)
	return lost
}

// pendingNote is what a node must do before it answers one that asks.
type pendingNote struct {
	save *messages.BootstrapPeer // to be made durable: that this node may found a cluster
	lost []uint64                // to be forgotten
	wait bool                    // it is on its way to the disk, and is answered when it is there
}

// asked notes a node that asks.
func (r *rendezvous) asked(from *messages.BootstrapPeer, seed bool, now time.Duration) (n pendingNote) {
	r.self.BootstrapCandidate = r.self.BootstrapCandidate || seed
	p := r.met(from, now)
	if p == nil || r.busy {
		return n
	}
	n.lost = r.replace(p, now)
	if p.BootstrapCandidate && !p.durable {
		if n.wait = p.saving; !p.saving {
			p.saving, n.save = true, proto.Clone(p.BootstrapPeer).(*messages.BootstrapPeer)
		}
	}
	return n
}

// saved says that the disk has it that a node may found.
func (r *rendezvous) saved(token uint64) {
	if p := r.peers[token]; p != nil {
		p.durable = true
	}
}

// belongs notes a cluster that somebody who was asked belongs to. It gives another one that was heard of lately, 0 if none:
// then nobody can tell which one is meant.
func (r *rendezvous) belongs(cluster uint64, now time.Duration) (other uint64) {
	r.clusters[cluster] = now
	for id, heard := range r.clusters {
		if id != cluster && now-heard < answerAge {
			other = max(other, id)
		}
	}
	return other
}

// answers fills in what a node that asks is told. A node that has heard of a cluster is busy from then on: it will be admitted
// there, and who asks it may have nobody else to ask.
func (r *rendezvous) answers(reply *messages.HelloReply) {
	reply.Epoch, reply.BootstrapCandidate, reply.Joining = r.self.Epoch, r.self.BootstrapCandidate, r.busy || len(r.clusters) > 0
	reply.CandidacyRecorded = r.peers[reply.ToToken] != nil && r.peers[reply.ToToken].durable
	reply.SilentSeeds = r.unheard()
	for _, p := range r.sorted() {
		reply.Peers = append(reply.Peers, proto.Clone(p.BootstrapPeer).(*messages.BootstrapPeer))
	}
}

// answered takes the answer of a node that has no cluster, or is busy getting one.
func (r *rendezvous) answered(a *messages.HelloReply, now time.Duration) {
	if a.ToToken != r.self.DirectoryToken {
		return // it is for another directory that was here before
	}
	if _, seed := r.seeds[a.DialedAddress]; seed {
		r.seeds[a.DialedAddress] = a.DirectoryToken
		r.self.BootstrapCandidate = r.self.BootstrapCandidate || a.DirectoryToken == r.self.DirectoryToken
	}
	p := r.met(&messages.BootstrapPeer{DirectoryToken: a.DirectoryToken, Name: a.Name, Address: a.Address, Epoch: a.Epoch, BootstrapCandidate: a.BootstrapCandidate}, now)
	if p == nil || a.Epoch < p.Epoch {
		return
	}
	p.answered, p.busy, p.noted, p.silent = now, a.Joining, a.CandidacyRecorded, a.SilentSeeds
	for _, other := range a.Peers {
		if !r.gone[other.GetDirectoryToken()] {
			r.note(other, now)
		}
	}
}

// forget drops nodes that no seed list names when they fall silent: they found nothing. So is a directory that is lost
// which this node had before.
func (r *rendezvous) forget(now time.Duration) {
	r.replace(&peer{BootstrapPeer: r.self}, now)
	maps.DeleteFunc(r.peers, func(_ uint64, p *peer) bool { return !p.BootstrapCandidate && now-p.seen >= answerAge })
}

// contacts are the addresses to ask, sorted, and whether the seeds name them.
func (r *rendezvous) contacts() (all []string, seed func(string) bool) {
	at := map[string]bool{}
	for address, token := range r.seeds {
		if token != r.self.DirectoryToken {
			at[address] = true
		}
	}
	for _, p := range r.peers {
		at[p.Address] = true
	}
	delete(at, r.self.Address)
	return slices.Sorted(maps.Keys(at)), func(a string) bool { _, named := r.seeds[a]; return named }
}

func (r *rendezvous) sorted() []*peer {
	return slices.SortedFunc(maps.Values(r.peers), func(a, b *peer) int { return cmp.Compare(a.DirectoryToken, b.DirectoryToken) })
}

// unheard are the seeds at which nobody has answered yet, sorted.
func (r *rendezvous) unheard() (all []string) {
	for _, address := range slices.Sorted(maps.Keys(r.seeds)) {
		if r.seeds[address] == 0 {
			all = append(all, address)
		}
	}
	return all
}

// silent are the addresses whose answers are missing, sorted.
func (r *rendezvous) silent(now time.Duration) []string {
	all := r.unheard()
	for _, p := range r.sorted() {
		if r.counts(p) && now-p.answered >= answerAge {
			all = append(all, p.Address)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// counts tells whether nothing is founded without a node's answer.
func (r *rendezvous) counts(p *peer) bool {
	if p.BootstrapCandidate {
		return true
	}
	for _, token := range r.seeds {
		if token == p.DirectoryToken {
			return true
		}
	}
	return false
}

// waits is what this node waits for before it founds a cluster, for people; empty: it is the one to found it, now.
func (r *rendezvous) waits(now time.Duration) string {
	if silent := r.silent(now); len(silent) > 0 {
		return "they must run, and reach this node at " + r.self.Address
	}
	if !r.self.BootstrapCandidate {
		return "it founds no cluster itself, since no node's seeds name it"
	}
	present := 1
	for _, p := range r.sorted() {
		if now-p.answered < answerAge {
			present++
		}
		switch {
		case !r.counts(p):
		case p.busy:
			return fmt.Sprintf("%s at %s is founding a cluster, or being admitted to one", p.Name, p.Address)
		case len(p.silent) > 0:
			return fmt.Sprintf("%s at %s waits for an answer from %v", p.Name, p.Address, p.silent)
		case p.BootstrapCandidate && p.DirectoryToken < r.self.DirectoryToken:
			return fmt.Sprintf("%s at %s is to found it", p.Name, p.Address)
		case !p.noted:
			return fmt.Sprintf("%s at %s does not know yet that this node may found it", p.Name, p.Address)
		}
	}
	if present < r.expect {
		return fmt.Sprintf("%d of %d nodes have met", present, r.expect)
	}
	return ""
}
