package clustertest

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eraft-io/eraft/messages"
)

// readdress lets a node come back at another address, as a container does: at most half of all nodes, so that clients find the others.
func (w *Swarm) readdress() {
	m := w.anyNode()
	moved := 0
	for _, other := range w.s.Nodes {
		if other.readdressed {
			moved++
		}
		if other.id() == 0 {
			return // it may know nobody but this one
		}
	}
	if m.readdressed || m.unmounted != nil || 2*(moved+1) > len(w.s.Nodes) {
		return
	}
	m.readdressed = true
	w.Counts["node moved"]++
	m.Readdress()
	w.endWithin(time.Second, m.Start)
}

// unmount lets two nodes start while their volumes are not mounted, that are most of a group together, but not of meta. Not both
// may take the places of the nodes that they were: one does if the other was heard a moment ago. A node whose place was not
// taken is the same again when its volume is back; the operator empties the directory of the other one.
func (w *Swarm) unmount() {
	if !w.mayWipe() || !w.s.Oracle.fullyReplicated() {
		return
	}
	for _, group := range w.s.Oracle.config.GetGroups() {
		voters := w.s.Oracle.raft.group(messages.GroupID(group.Id)).members.GetVoters()
		if group.Left || group.Id == uint64(messages.Meta) || len(voters) != 3 {
			continue
		}
		pair := voters[:2]
		meta := w.s.Oracle.raft.group(messages.Meta).members.GetVoters()
		left := slices.DeleteFunc(slices.Clone(meta), func(id uint64) bool { return slices.Contains(pair, id) })
		first, second := w.s.Oracle.raft.byID[pair[0]], w.s.Oracle.raft.byID[pair[1]]
		if 2*len(left) <= len(meta) || first == nil || second == nil || first.damaged || second.damaged {
			continue
		}
		w.wiped = true // no more must get lost
		w.Counts["volumes unmounted"]++
		mounts := []func(){first.Unmount(), second.Unmount()}
		w.endWithin(time.Second, first.Start)
		w.endWithin(time.Second, second.Start)
		w.endWithin(15*time.Second, func() {
			for i, m := range []*SimNode{first, second} {
				mounts[i]()
				if slices.ContainsFunc(w.s.Oracle.config.Nodes, func(n *messages.Node) bool { return n.Removed && n.Id == uint64(m.id()) }) {
					w.Counts["place taken"]++
					m.Wipe()
				}
				m.Start()
			}
		})
		return
	}
}

const swappedProgram = "program swap"

// drawLevels lets half of all seeds begin with some or all nodes at the first feature level.
func drawLevels(seed uint64, p *Plan) {
	rng := rand.New(rand.NewPCG(seed, 12))
	old := rng.IntN(4) // of three nodes; 0: none
	if rng.IntN(2) == 0 || p.Level != nil || slices.Contains(p.Without, swappedProgram) {
		return
	}
	p.Level = func(node int) messages.Level {
		if node <= old {
			return messages.FirstLevel
		}
		return messages.NewestLevel
	}
}

// swapProgram restarts a node with another program: a newer one, or, as long as neither the node has pledged nor the cluster has the
// newer level, an older one. A node that is not admitted yet never gets an older one: its request to join, which names the level of the
// newer program, may still arrive.
func (w *Swarm) swapProgram() {
	m := w.anyNode()
	m.Kill()
	m.Level = messages.NewestLevel
	raised := max(m.Pledged(), w.s.Oracle.config.FeatureLevel()) == messages.NewestLevel
	if !raised && m.id() != 0 && m.unmounted == nil && !m.damaged && w.rng.IntN(3) == 0 {
		m.Level = messages.FirstLevel
	}
	w.endWithin(time.Second, m.Start)
}

// upgrade restarts a node with the newest program.
func (m *SimNode) upgrade() {
	if m.Level == messages.FirstLevel {
		m.Kill()
		m.Level = messages.NewestLevel
	}
}
