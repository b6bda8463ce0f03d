package actortest

import (
	"fmt"
	"hash/crc64"
	"reflect"
	"strings"
	"time"
)

// Kind of an effect.
type Kind string

// Effects that a Journal knows.
const (
	Sent       Kind = "sent" // to another node
	Dropped    Kind = "dropped"
	Received   Kind = "received"
	Spawned    Kind = "spawned"
	Stopped    Kind = "stopped"
	Panicked   Kind = "panicked"
	Restarted  Kind = "restarted"
	DeadLetter Kind = "dead letter"
	Started    Kind = "started" // a node
	Crashed    Kind = "crashed"
)

// Entry is one effect. From and To are a node's address, or address/path of an actor.
type Entry struct {
	At       time.Duration
	Kind     Kind
	From, To string
	Message  any // must not be changed
	content  []byte
}

// Type is the name of the message's type without its package.
func (e Entry) Type() string {
	if e.Message == nil {
		return ""
	}
	full := reflect.TypeOf(e.Message).String()
	return full[strings.LastIndexByte(full, '.')+1:]
}

func (e Entry) String() string {
	text := fmt.Sprintf("%12v  %-11s", e.At, e.Kind)
	if e.From != "" {
		text += " " + e.From + " ─▶"
	}
	text += " " + e.To
	if e.Message != nil {
		text += "  " + e.Type() + " " + short(fmt.Sprint(e.Message))
	}
	return text
}

const shortBytes = 160

func short(text string) string {
	if len(text) > shortBytes {
		return text[:shortBytes] + "…"
	}
	return text
}

// Journal records what has happened in a World: the newest effects themselves, and a hash over all of them.
type Journal struct {
	limit int
	ring  []Entry
	total uint64
	sum   uint64
	names map[string]uint64
	types map[reflect.Type]uint64
	kinds map[Kind]uint64
}

var polynomial = crc64.MakeTable(crc64.ECMA)

func newJournal(limit int) *Journal {
	return &Journal{limit: limit, names: map[string]uint64{}, types: map[reflect.Type]uint64{}, kinds: map[Kind]uint64{}}
}

func (j *Journal) add(e Entry) {
	j.kinds[e.Kind]++
	j.mix(uint64(e.At))
	j.mix(j.name(string(e.Kind)))
	j.mix(j.name(e.From))
	j.mix(j.name(e.To))
	if e.Message != nil {
		j.mix(j.typeOf(e.Message))
	}
	if e.content != nil {
		j.mix(crc64.Checksum(e.content, polynomial))
		e.content = nil
	}
	if j.limit > 0 {
		if len(j.ring) < j.limit {
			j.ring = append(j.ring, e)
		} else {
			j.ring[j.total%uint64(j.limit)] = e
		}
	}
	j.total++
}

func (j *Journal) mix(v uint64) {
	j.sum = (j.sum ^ v) * 0x9E3779B97F4A7C15
	j.sum ^= j.sum >> 29
}

// name is a number for a text that depends on nothing but the text.
func (j *Journal) name(text string) uint64 {
	if n, ok := j.names[text]; ok {
		return n
	}
	n := crc64.Checksum([]byte(text), polynomial)
	j.names[text] = n
	return n
}

func (j *Journal) typeOf(message any) uint64 {
	t := reflect.TypeOf(message)
	if n, ok := j.types[t]; ok {
		return n
	}
	n := crc64.Checksum([]byte(t.String()), polynomial)
	j.types[t] = n
	return n
}

// Hash is over every effect so far, contents of messages between nodes included: equal runs have equal hashes.
func (j *Journal) Hash() uint64 { return j.sum }

// Total is how many effects there were.
func (j *Journal) Total() uint64 { return j.total }

// Count is how many effects of a kind there were.
func (j *Journal) Count(kind Kind) uint64 { return j.kinds[kind] }

// Entries are the newest effects, as many as are kept, oldest first.
func (j *Journal) Entries() []Entry {
	if len(j.ring) < j.limit || j.limit == 0 {
		return append([]Entry(nil), j.ring...)
	}
	at := int(j.total % uint64(j.limit))
	return append(append([]Entry(nil), j.ring[at:]...), j.ring[:at]...)
}

// Find returns the kept effects that match, oldest first.
func (j *Journal) Find(match func(Entry) bool) []Entry {
	var found []Entry
	for _, e := range j.Entries() {
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}
