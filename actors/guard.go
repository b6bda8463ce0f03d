package actors

import (
	"math/bits"
	"strings"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Rule says that messages of one type may reach actors under some paths, and from which senders. A type may have several rules, for
// different senders.
type Rule struct {
	Type            string     // full protobuf name, such as "eraft.Requests"
	Paths           []string   // prefixes of the paths of target actors
	Unauthenticated bool       // senders without a membership may send it: clients, and nodes that want to join
	ForeignCluster  bool       // members of other clusters may send it
	Validate        Validator  // checks what senders that are no members of this cluster send; nil: they may send anything
	Sender          SenderFunc // node that a message names as its sender; nil: none
	Bulk            bool       // it may be large, or many: between members it has a connection of its own, so that nothing else waits behind it
	MaxBytes        int        // bound of its encoded size, which no sender exceeds; 0: messages.MaxMessageBytes. The same in all rules of a type

	// OnTooLarge tells the actors concerned that a message was not sent, because it has more than MaxBytes; nil: none waits for it. It is
	// called on the sender's goroutine, and must not block.
	OnTooLarge func(to *actor.PID, message proto.Message, tell func(to *actor.PID, message proto.Message))
}

// Validator tells whether an encoded message of a sender that is no member may come in. Replies to it may go to replyAddress only: the
// Validator must check every address in the message to which it wants replies. It must not keep the bytes.
type Validator func(encoded []byte, replyAddress string) bool

// SenderFunc returns the node that a message names as its sender, and its boot epoch; 0: the message does not name it.
type SenderFunc func(message any) (messages.NodeID, messages.Epoch)

// Origin is where a message from another system comes from.
type Origin struct {
	Identity            // as the sender claims
	ReplyAddress string // of the connection: messages to it go back over the connection; "": none can
}

// Guard decides which messages of other systems may enter a system, by Rules. Every Network asks it for every message. Dropped messages are
// counted by reason; the reasons are few and fixed. It is safe for concurrent use.
type Guard struct {
	rules map[string][]Rule
	self  func() Identity // of this system

	mu     sync.Mutex
	epochs map[messages.NodeID]messages.Epoch // newest boot epoch of each member that was confirmed
	drops  map[string]uint64                  // messages, by reason
	events func(Event)
}

// MessageRefused tells that messages of other systems were dropped: of each reason the first one, the second, fourth, eighth, and so on.
type MessageRefused struct {
	Reason string
	Count  uint64
}

func (MessageRefused) EventName() string { return "message refused" }

// MessageTooLarge tells that a message could not be sent, because an actor has made it larger than its Rule allows.
type MessageTooLarge struct {
	Type, To string
	Bytes    int
}

func (MessageTooLarge) EventName() string { return "message too large" }

// NewGuard makes the guard of a system.
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

// Admit tells whether a message of a type from a sender may reach the actor at a path. A refused message is counted. The content is looked
// at only if the sender is no member.
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
	allowed, unauthenticated, foreign := false, false, false
	var validate Validator
	for _, rule := range rules {
		for _, prefix := range rule.Paths {
			if strings.HasPrefix(path, prefix) {
				allowed, unauthenticated, foreign = true, unauthenticated || rule.Unauthenticated, foreign || rule.ForeignCluster
				if rule.Validate != nil {
					validate = rule.Validate
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
	case from.Unauthenticated() && !unauthenticated:
		return "unauthenticated"
	case !from.Unauthenticated() && outsider && self.Cluster != 0 && !foreign:
		return "foreign cluster"
	case outsider && validate != nil && !validate(encoded, from.ReplyAddress):
		return "invalid content"
	case outsider:
		return ""
	}
	if g.SupersededBy(from.Identity) != 0 {
		return "superseded boot epoch"
	}
	return ""
}

// SupersededBy returns the newest boot epoch of a member, if the sender is an earlier boot of it: none of its messages is admitted, and the
// Network tells it so. 0: the sender is no earlier boot, as far as is known.
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

// CheckSender tells whether an admitted message names the same sender as its connection. Another one is counted as dropped.
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

// ConfirmEpoch notes the identity of a node that this system has reached at the address that the members know. Messages of earlier boots of
// the node are not admitted any more. What a sender claims of itself proves nothing: anybody could silence a node with a larger epoch.
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

// Sendable tells whether a message of an encoded size may be sent. If not, an event tells, and the actors concerned are told, see
// Rule.OnTooLarge.
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

// maxBytes is the bound of the encoded size of a message.
func maxBytes(rules []Rule) int {
	if len(rules) > 0 && rules[0].MaxBytes > 0 {
		return rules[0].MaxBytes
	}
	return messages.MaxMessageBytes
}

// CountDrop counts a message that was dropped for a reason that only the Network knows.
func (g *Guard) CountDrop(reason string) {
	g.mu.Lock()
	g.drops[reason]++
	n := g.drops[reason]
	g.mu.Unlock()
	if bits.OnesCount64(n) == 1 {
		g.events(MessageRefused{Reason: reason, Count: n})
	}
}

// Drops is how many messages were dropped, by reason.
func (g *Guard) Drops() map[string]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[string]uint64, len(g.drops))
	for reason, n := range g.drops {
		all[reason] = n
	}
	return all
}
