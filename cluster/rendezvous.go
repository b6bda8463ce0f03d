package cluster

import (
	"slices"
	"time"
)

// rendezvous decides when a new cluster may be born, and by whom. It is pure; Member carries it.
//
// Nodes without a cluster ask every address they know, and tell each other whom they know. A birth needs that
// everybody known has answered, that nobody of them has ever belonged to a cluster, and that they are enough;
// then the one with the lowest address does it. A node that cannot reach one of its seeds therefore never gives
// birth, and two nodes that know of each other never both do.
type rendezvous struct {
	self   string
	expect int
	known  map[string]*acquaintance
}

type acquaintance struct {
	seed     bool // named by the config: never forgotten
	answered bool
	heard    time.Duration
}

// strangerAge is how long a node that is no seed counts without being heard again.
const strangerAge = 3 * time.Second

func newRendezvous(self string, seeds []string, expect int) *rendezvous {
	r := &rendezvous{self: self, expect: expect, known: map[string]*acquaintance{}}
	for _, seed := range seeds {
		if seed != self {
			r.known[seed] = &acquaintance{seed: true}
		}
	}
	return r
}

// mention records addresses that somebody spoke of.
func (r *rendezvous) mention(addresses []string, now time.Duration) {
	for _, a := range addresses {
		if a != "" && a != r.self && r.known[a] == nil {
			r.known[a] = &acquaintance{heard: now}
		}
	}
}

// answered records that a node without cluster answered.
func (r *rendezvous) answered(address string, now time.Duration) {
	r.mention([]string{address}, now)
	if k := r.known[address]; k != nil {
		k.answered, k.heard = true, now
	}
}

// forget drops strangers that fell silent, and the answers of seeds that did.
func (r *rendezvous) forget(now time.Duration) {
	for address, k := range r.known {
		if now-k.heard < strangerAge {
			continue
		}
		if k.answered = false; !k.seed {
			delete(r.known, address)
		}
	}
}

// others are the addresses to ask, sorted.
func (r *rendezvous) others() []string {
	var all []string
	for address := range r.known {
		all = append(all, address)
	}
	slices.Sort(all)
	return all
}

// silent are those who have not answered, sorted.
func (r *rendezvous) silent() []string {
	return slices.DeleteFunc(r.others(), func(a string) bool { return r.known[a].answered })
}

// birth tells whether this node is the one to give birth now.
func (r *rendezvous) birth() bool {
	others := r.others()
	return len(others)+1 >= r.expect && len(r.silent()) == 0 && (len(others) == 0 || r.self < others[0])
}
