package actors

import (
	"math/bits"
	"strings"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Rule lets messages of one type reach actors under some paths. A type may have several, for different senders.
type Rule struct {
	Type            string     // full protobuf name, such as "eraft.Requests"
	Paths           []string   // prefixes of target paths
	Unauthenticated bool       // guests may say it: clients, and nodes that want to join
	Validate        Validator  // what of it outsiders may say: those who are no members of this cluster; nil: anything
	ForeignCluster  bool       // senders of other clusters may say it
	Sender          SenderFunc // whom it names as its sender; nil: nobody
	Bulk            bool       // it may be large, or many: between members it travels apart, so that nothing else waits behind it
	MaxBytes        int        // bytes that it may have, encoded; nobody makes a larger one. All rules of a type have the same

	// OnTooLarge says to whom it concerns that a message was not sent, because it has more than Max bytes; nil: nobody waits
	// for it. It is called on the sender's goroutine, and must not block.
	OnTooLarge func(to *actor.PID, message proto.Message, tell func(to *actor.PID, message proto.Message))
}

// Validator looks at an encoded message of an outsider and tells whether it may come in. Answers to it may go to replyAddress only: it
// must be every address that the message wants an answer at. It must not keep the bytes.
type Validator func(encoded []byte, replyAddress string) bool

// SenderFunc gives the node that a message names as its sender, in itself, and its boot epoch; 0: it says nothing about that.
type SenderFunc func(message any) (messages.NodeID, messages.Epoch)

// Origin is where a message comes from.
type Origin struct {
	Identity            // as the sender claims
	ReplyAddress string // of the connection: what is sent there goes back over it; "" if nothing can
}

// Guard decides what may enter a system from outside. Every network asks it for every message. Drops are counted
// by reason; the reasons are few and fixed.
type Guard struct {
	rules map[string][]Rule
	self  func() Identity

	mu     sync.Mutex
	epochs map[messages.NodeID]messages.Epoch
	drops  map[string]uint64
	events func(Event)
}

// MessageRefused tells that messages from outside were dropped. It is told for the first and for every power of two.
type MessageRefused struct {
	Reason string
	Count  uint64
}

func (MessageRefused) EventName() string { return "message refused" }

// MessageTooLarge tells that a message could not be sent. Whoever made it broke a rule; it is told every time.
type MessageTooLarge struct {
	Type, To string
	Bytes    int
}

func (MessageTooLarge) EventName() string { return "message too large" }

// NewGuard makes a guard for the system that attaches.
func NewGuard(rules []Rule, sys *System) *Guard {
	g := &Guard{
		rules: make(map[string][]Rule, len(rules)), self: sys.Identity, events: sys.Events,
		epochs: map[messages.NodeID]messages.Epoch{}, drops: map[string]uint64{},
	}
	for _, r := range rules {
		g.rules[r.Type] = append(g.rules[r.Type], r)
	}
	return g
}

// Admit tells whether a message of that type from that sender may reach that path. A refused one is counted. Only what
// outsiders say is looked into.
func (g *Guard) Admit(from Origin, typeName, path string, encoded []byte) bool {
	reason := g.refusal(from, typeName, path, encoded)
	if reason != "" {
		g.CountDrop(reason)
	}
	return reason == ""
}

func (g *Guard) refusal(from Origin, typeName, path string, encoded []byte) string {
	rules, ok := g.rules[typeName]
	if !ok {
		return "unknown type"
	}
	allowed, guest, alien := false, false, false
	var says Validator
	for _, rule := range rules {
		for _, prefix := range rule.Paths {
			if strings.HasPrefix(path, prefix) {
				allowed, guest, alien = true, guest || rule.Unauthenticated, alien || rule.ForeignCluster
				if rule.Validate != nil {
					says = rule.Validate
				}
			}
		}
	}
	if !allowed {
		return "forbidden target"
	}
	if len(encoded) > maxBytes(rules) {
		return "too large"
	}
	self := g.self()
	outsider := from.outside(self)
	switch {
	case from.Unauthenticated() && !guest:
		return "unauthenticated"
	case !from.Unauthenticated() && outsider && self.Cluster != 0 && !alien:
		return "foreign cluster"
	case outsider && says != nil && !says(encoded, from.ReplyAddress):
		return "invalid content"
	case outsider:
		return ""
	}
	if g.SupersededBy(from.Identity) != 0 {
		return "superseded boot epoch"
	}
	return ""
}

// SupersededBy gives the newest boot of a member, if its sender is an earlier one: nothing that it says is admitted, and its network
// tells it so. 0: it is the newest that is known.
func (g *Guard) SupersededBy(id Identity) messages.Epoch {
	if id.outside(g.self()) {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if newest := g.epochs[id.Node]; newest > id.Epoch {
		return newest
	}
	return 0
}

// CheckSender tells whether an admitted message names as its sender, in itself, whom the connection says. Another one is counted.
func (g *Guard) CheckSender(from Origin, typeName string, message any) bool {
	for _, rule := range g.rules[typeName] {
		if rule.Sender == nil {
			continue
		}
		node, epoch := rule.Sender(message)
		if node != 0 && node != from.Node || epoch != 0 && epoch != from.Epoch {
			g.CountDrop("sender mismatch")
			return false
		}
	}
	return true
}

// ConfirmEpoch says that this system has called a node at the address where members know it, and who has answered. Of earlier lives of
// the node nothing is admitted any more. That somebody says so itself is no proof: else a stranger could silence a node by a
// larger epoch.
func (g *Guard) ConfirmEpoch(id Identity) {
	if id.outside(g.self()) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.epochs[id.Node] = max(g.epochs[id.Node], id.Epoch)
}

// Outsider tells whether a sender is no member of this system's cluster.
func (g *Guard) Outsider(id Identity) bool { return id.outside(g.self()) }

func (id Identity) outside(self Identity) bool {
	return id.Unauthenticated() || id.Cluster != self.Cluster
}

// Sendable tells whether a message of that many bytes may leave. One that may not is told of, also to whom it concerns.
func (g *Guard) Sendable(to *actor.PID, message proto.Message, size int, tell func(*actor.PID, proto.Message)) bool {
	name := string(message.ProtoReflect().Descriptor().FullName())
	rules := g.rules[name]
	if size <= maxBytes(rules) {
		return true
	}
	g.CountDrop("too large to send")
	g.events(MessageTooLarge{Type: name, To: to.GetId(), Bytes: size})
	if len(rules) > 0 && rules[0].OnTooLarge != nil {
		rules[0].OnTooLarge(to, message, tell)
	}
	return false
}

// maxBytes is how many bytes a message may have.
func maxBytes(rules []Rule) int {
	if len(rules) > 0 && rules[0].MaxBytes > 0 {
		return rules[0].MaxBytes
	}
	return messages.MaxMessageBytes
}

// CountDrop counts a message that was refused for a reason that only the network can see.
func (g *Guard) CountDrop(reason string) {
	g.mu.Lock()
	g.drops[reason]++
	n := g.drops[reason]
	g.mu.Unlock()
	if bits.OnesCount64(n) == 1 {
		g.events(MessageRefused{Reason: reason, Count: n})
	}
}

// Drops is how many messages were refused, by reason.
func (g *Guard) Drops() map[string]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[string]uint64, len(g.drops))
	for reason, n := range g.drops {
		all[reason] = n
	}
	return all
}
