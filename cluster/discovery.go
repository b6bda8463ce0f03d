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

// discovery decides when a new cluster is bootstrapped, and by which node. It is pure: the Member sends its questions and
// passes it the answers.
//
// A node without a cluster says Hello to every node that it knows, and each answer lists the nodes that its sender knows. The
// token of a data directory identifies a node; an address says only where to ask. A node is a bootstrap candidate if some seed
// list names it. A candidate bootstraps the cluster when all seeds and all other candidates have replied within replyLifetime
// that they belong to no cluster, its token is the lowest among the candidates, and at least Config.Expect nodes have met.
//
// Before a node replies to a candidate, it records on its disk that the sender is a candidate; from then on its replies list
// that candidate. If two candidates share one node that both ask, the later one learns of the earlier one and must wait for its
// reply as well: see docs/adr/0022. A recorded candidate is never forgotten because it is silent or because a node restarts.
type discovery struct {
	self       *messages.BootstrapPeer
	expect     int               // nodes that must have met, this one included; at least 1
	alone      bool              // the node was started without seeds: it asks nobody
	seeds      map[string]uint64 // seed address -> token of the directory that replied there last; 0: none has replied
	peers      map[uint64]*peer  // other nodes without a cluster, by token; at most maxPeers
	gone       map[uint64]bool   // tokens of replaced directories; later reports about them are outdated and ignored
	inProgress bool              // this node bootstraps or joins a cluster: its identity is being written to the disk

	clusters map[uint64]time.Duration // cluster id -> time of the last reply from a member of it
}

// peer is another node without a cluster.
type peer struct {
	*messages.BootstrapPeer
	lastHeard time.Duration // time of its last Hello or reply
	lastReply time.Duration // time of its last reply that it belongs to no cluster; never: there was none
	busy      bool          // its last reply: it bootstraps or joins a cluster
	noted     bool          // its last reply: it has recorded that this node is a candidate
	silent    []string      // its last reply: addresses of its own seeds that have not replied to it
	saving    bool          // this node is writing to its disk that the peer is a candidate
	durable   bool          // this node's disk says that the peer is a candidate
}

const (
	replyLifetime = 3 * time.Second            // age at which a reply no longer counts
	maxPeers      = messages.MaxBootstrapPeers // entries of discovery.peers and of discovery.gone
	never         = -time.Hour                 // lastReply of a peer that has not replied
)

func newDiscovery(self *messages.BootstrapPeer, seeds []string, expect int, noted []*messages.BootstrapPeer) *discovery {
	r := &discovery{
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
		if p := r.record(n, never); p != nil {
			p.durable = true
		}
	}
	return r
}

// record takes a report about a node, from whichever sender. It returns nil if the node is this one or the report is unusable.
func (r *discovery) record(n *messages.BootstrapPeer, now time.Duration) *peer {
	if n.DirectoryToken == 0 || n.DirectoryToken == r.self.DirectoryToken || n.Address == "" || messages.CheckBounds(n) != nil {
		return nil
	}
	p := r.peers[n.DirectoryToken]
	if p == nil {
		if len(r.peers) >= maxPeers {
			return nil
		}
		p = &peer{BootstrapPeer: &messages.BootstrapPeer{DirectoryToken: n.DirectoryToken}, lastHeard: now, lastReply: never}
		r.peers[n.DirectoryToken] = p
	}
	if n.Epoch >= p.Epoch {
		p.Name, p.Address, p.Epoch = n.Name, n.Address, n.Epoch
	}
	p.BootstrapCandidate = p.BootstrapCandidate || n.BootstrapCandidate
	return p
}

// heardFrom records a node from which this one has received a message itself.
func (r *discovery) heardFrom(n *messages.BootstrapPeer, now time.Duration) *peer {
	p := r.record(n, now)
	if p != nil {
		p.lastHeard = now
		delete(r.gone, p.DirectoryToken)
	}
	return p
}

// dropReplaced forgets peers that have the same name as by, another token, and have been silent for replyLifetime: a name belongs
// to one node. It returns their tokens, sorted.
func (r *discovery) dropReplaced(by *peer, now time.Duration) (lost []uint64) {
	for token, other := range r.peers {
		if token != by.DirectoryToken && other.Name == by.Name && now-other.lastHeard >= replyLifetime {
			delete(r.peers, token)
			if lost = append(lost, token); len(r.gone) < maxPeers {
				r.gone[token] = true
			}
		}
	}
	slices.Sort(lost)
	return lost
}

// peerUpdate is what a node must write to its disk before it replies to a Hello.
type peerUpdate struct {
	save    *messages.BootstrapPeer // record this node as a candidate; nil: nothing to record
	forget  []uint64                // delete the records of these tokens
	pending bool                    // the record is being written already; the reply follows when it is durable
}

// onHello records the sender of a Hello. seed reports whether the sender's seed list names this node.
func (r *discovery) onHello(from *messages.BootstrapPeer, seed bool, now time.Duration) (n peerUpdate) {
	r.self.BootstrapCandidate = r.self.BootstrapCandidate || seed
	p := r.heardFrom(from, now)
	if p == nil || r.inProgress {
		return n
	}
	n.forget = r.dropReplaced(p, now)
	if p.BootstrapCandidate && !p.durable {
		if n.pending = p.saving; !p.saving {
			p.saving, n.save = true, proto.Clone(p.BootstrapPeer).(*messages.BootstrapPeer)
		}
	}
	return n
}

// onPeerSaved notes that the disk has the record of a candidate.
func (r *discovery) onPeerSaved(token uint64) {
	if p := r.peers[token]; p != nil {
		p.durable = true
	}
}

// onClusterSeen notes a cluster that a seed belongs to. It returns another cluster that was seen within replyLifetime, 0 if there
// is none: with two clusters the node cannot know which one to join.
func (r *discovery) onClusterSeen(cluster uint64, now time.Duration) (other uint64) {
	r.clusters[cluster] = now
	for id, heard := range r.clusters {
		if id != cluster && now-heard < replyLifetime {
			other = max(other, id)
		}
	}
	return other
}

// fillReply fills in the reply to a Hello. A node that has seen a cluster says that it is joining from then on: it will be
// admitted there, and the sender may know no other node to ask.
func (r *discovery) fillReply(reply *messages.HelloReply) {
	reply.Epoch, reply.BootstrapCandidate, reply.Joining = r.self.Epoch, r.self.BootstrapCandidate, r.inProgress || len(r.clusters) > 0
	reply.CandidacyRecorded = r.peers[reply.ToToken] != nil && r.peers[reply.ToToken].durable
	reply.SilentSeeds = r.silentSeeds()
	for _, p := range r.sorted() {
		reply.Peers = append(reply.Peers, proto.Clone(p.BootstrapPeer).(*messages.BootstrapPeer))
	}
}

// onReply takes the reply of a node that has no cluster, or is about to get one.
func (r *discovery) onReply(a *messages.HelloReply, now time.Duration) {
	if a.ToToken != r.self.DirectoryToken {
		return // the reply is meant for a directory that this address had before
	}
	if _, seed := r.seeds[a.DialedAddress]; seed {
		r.seeds[a.DialedAddress] = a.DirectoryToken
		r.self.BootstrapCandidate = r.self.BootstrapCandidate || a.DirectoryToken == r.self.DirectoryToken
	}
	p := r.heardFrom(&messages.BootstrapPeer{DirectoryToken: a.DirectoryToken, Name: a.Name, Address: a.Address, Epoch: a.Epoch, BootstrapCandidate: a.BootstrapCandidate}, now)
	if p == nil || a.Epoch < p.Epoch {
		return
	}
	p.lastReply, p.busy, p.noted, p.silent = now, a.Joining, a.CandidacyRecorded, a.SilentSeeds
	for _, other := range a.Peers {
		if !r.gone[other.GetDirectoryToken()] {
			r.record(other, now)
		}
	}
}

// expire drops silent peers that are no candidates: they never bootstrap a cluster. It also drops the directory that this node
// had before, if it was lost.
func (r *discovery) expire(now time.Duration) {
	r.dropReplaced(&peer{BootstrapPeer: r.self}, now)
	maps.DeleteFunc(r.peers, func(_ uint64, p *peer) bool { return !p.BootstrapCandidate && now-p.lastHeard >= replyLifetime })
}

// contacts returns the addresses to say Hello to, sorted. seed reports whether an address is in the seed list.
func (r *discovery) contacts() (all []string, seed func(string) bool) {
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

func (r *discovery) sorted() []*peer {
	return slices.SortedFunc(maps.Values(r.peers), func(a, b *peer) int { return cmp.Compare(a.DirectoryToken, b.DirectoryToken) })
}

// silentSeeds returns the seed addresses at which nobody has replied yet, sorted.
func (r *discovery) silentSeeds() (all []string) {
	for _, address := range slices.Sorted(maps.Keys(r.seeds)) {
		if r.seeds[address] == 0 {
			all = append(all, address)
		}
	}
	return all
}

// missing returns the addresses of seeds and candidates without a reply within replyLifetime, sorted.
func (r *discovery) missing(now time.Duration) []string {
	all := r.silentSeeds()
	for _, p := range r.sorted() {
		if r.required(p) && now-p.lastReply >= replyLifetime {
			all = append(all, p.Address)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// required reports whether this node must have the peer's reply before it bootstraps a cluster.
func (r *discovery) required(p *peer) bool {
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

// waitReason says, for people, what this node waits for before it bootstraps a cluster. Empty: this node bootstraps it now.
func (r *discovery) waitReason(now time.Duration) string {
	if silent := r.missing(now); len(silent) > 0 {
		return "they must run, and reach this node at " + r.self.Address
	}
	if !r.self.BootstrapCandidate {
		return "it bootstraps no cluster itself, since no node's seeds name it"
	}
	present := 1
	for _, p := range r.sorted() {
		if now-p.lastReply < replyLifetime {
			present++
		}
		switch {
		case !r.required(p):
		case p.busy:
			return fmt.Sprintf("%s at %s is bootstrapping a cluster, or joining one", p.Name, p.Address)
		case len(p.silent) > 0:
			return fmt.Sprintf("%s at %s waits for an answer from %v", p.Name, p.Address, p.silent)
		case p.BootstrapCandidate && p.DirectoryToken < r.self.DirectoryToken:
			return fmt.Sprintf("%s at %s is to bootstrap it", p.Name, p.Address)
		case !p.noted:
			return fmt.Sprintf("%s at %s has not recorded yet that this node may bootstrap it", p.Name, p.Address)
		}
	}
	if present < r.expect {
		return fmt.Sprintf("%d of %d nodes have met", present, r.expect)
	}
	return ""
}
