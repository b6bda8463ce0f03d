package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// waiting is a node with that name, address and token, which has answers of others that know all about it.
func waiting(token uint64, seeds []string, expect int, others ...uint64) *rendezvous {
	address := fmt.Sprint("h", token)
	r := newRendezvous(&messages.BootstrapPeer{DirectoryToken: token, Name: address, Address: address, Epoch: 1}, seeds, expect, nil)
	for _, other := range others {
		r.answered(answerOf(other, token), 0)
	}
	return r
}

func answerOf(token, asker uint64) *messages.HelloReply {
	address := fmt.Sprint("h", token)
	return &messages.HelloReply{DirectoryToken: token, Name: address, Address: address, Epoch: 1, BootstrapCandidate: true, CandidacyRecorded: true, DialedAddress: address, ToToken: asker}
}

// One node founds a cluster: the one with the lowest token of those that the seeds name, when everybody agrees.
func TestRendezvous(t *testing.T) {
	seeds := []string{"h1", "h2", "h3"}
	require.Empty(t, waiting(1, seeds, 3, 2, 3).waits(0))
	require.Contains(t, waiting(2, seeds, 3, 1, 3).waits(0), "h1 at h1 is to found it")
	require.Contains(t, waiting(0xbad, seeds, 3, 1, 2, 3).waits(0), "no node's seeds name it")
	require.Empty(t, waiting(9, nil, 1).waits(0), "alone")

	r := waiting(1, seeds, 3, 2)
	require.Equal(t, []string{"h3"}, r.silent(0))
	require.Contains(t, r.waits(0), "reach this node at h1")
	require.Contains(t, waiting(1, seeds, 3, 2, 3).waits(answerAge), "must run", "old answers do not count")
	require.Contains(t, waiting(1, []string{"h1", "h2"}, 3, 2).waits(0), "2 of 3 nodes have met")

	for says, change := range map[string]func(*messages.HelloReply){
		"is founding a cluster": func(a *messages.HelloReply) { a.Joining = true },
		"does not know yet":     func(a *messages.HelloReply) { a.CandidacyRecorded = false },
		"an answer from [h7]":   func(a *messages.HelloReply) { a.SilentSeeds = []string{"h7"} },
		"must run":              func(a *messages.HelloReply) { a.ToToken = 77 },
	} {
		r, a := waiting(1, seeds, 3, 2), answerOf(3, 1)
		change(a)
		r.answered(a, 0)
		require.Contains(t, r.waits(0), says)
	}
}

// A node whose only seed has lost its disks, and is not admitted to its cluster again yet, founds none: its seed has heard of
// one, however long ago.
func TestSeedThatHasHeardOfACluster(t *testing.T) {
	seed := waiting(9, []string{"h1", "h9"}, 2)
	a := answerOf(1, 9)
	a.Joining, a.BootstrapCandidate = true, false // it is a member
	seed.answered(a, 0)
	reply := answerOf(9, 4)
	seed.answers(reply)
	require.False(t, reply.Joining)
	require.Zero(t, seed.belongs(7, 0))
	seed.forget(time.Hour)
	seed.answers(reply)
	require.True(t, reply.Joining)
	joining := waiting(4, []string{"h9"}, 1)
	joining.self.BootstrapCandidate = true // a node that joins as well names it
	joining.answered(reply, 0)
	require.Contains(t, joining.waits(0), "h9 at h9 is founding a cluster, or being admitted to one")
}

// A node that may found a cluster is never forgotten, by silence or by a restart, unless its directory was lost.
func TestRendezvousForgetsNobody(t *testing.T) {
	first := &messages.BootstrapPeer{DirectoryToken: 5, Name: "n5", Address: "h5", Epoch: 1, BootstrapCandidate: true}
	r := waiting(1, []string{"h1"}, 1)
	require.Empty(t, r.waits(0))
	n := r.asked(first, false, 0)
	require.EqualValues(t, 5, n.save.GetDirectoryToken())
	require.True(t, r.asked(first, false, 0).wait, "the answer waits for the disk")
	reply := &messages.HelloReply{ToToken: 5}
	r.answers(reply)
	require.False(t, reply.CandidacyRecorded)
	r.saved(5)
	r.answers(reply)
	require.True(t, reply.CandidacyRecorded)
	r.forget(time.Hour)
	require.Contains(t, r.waits(time.Hour), "must run")

	again := newRendezvous(r.self, []string{"h1"}, 1, []*messages.BootstrapPeer{n.save})
	require.Contains(t, again.waits(time.Hour), "must run", "after a restart")
	stranger := &messages.BootstrapPeer{DirectoryToken: 6, Name: "n6", Address: "h6"}
	require.Nil(t, again.asked(stranger, false, 0).save)
	again.forget(answerAge)
	require.NotContains(t, again.peers, uint64(6), "who founds nothing is forgotten")

	moved := &messages.BootstrapPeer{DirectoryToken: 5, Name: "n5", Address: "h55", Epoch: 2, BootstrapCandidate: true}
	again.asked(moved, false, time.Hour)
	again.asked(first, false, time.Hour)
	require.Equal(t, []string{"h55"}, again.silent(time.Hour), "where it was in its newest boot")
	anew := &messages.BootstrapPeer{DirectoryToken: 7, Name: "n5", Address: "h5", BootstrapCandidate: true}
	require.Empty(t, again.asked(anew, false, time.Hour).lost, "both are there")
	require.Equal(t, []uint64{5}, again.asked(anew, false, 2*time.Hour).lost)
	again.answered(&messages.HelloReply{ToToken: 1, DirectoryToken: 7, Name: "n5", Address: "h5", Peers: []*messages.BootstrapPeer{first}}, 2*time.Hour)
	require.NotContains(t, again.peers, uint64(5), "what is said of a lost directory is old")
}

// Addresses have no meaning but that somebody answers there: a seed may be this node under another name.
func TestRendezvousKnowsItselfByItsToken(t *testing.T) {
	r := waiting(1, []string{"localhost:1", "other:1"}, 2)
	require.Contains(t, r.waits(0), "must run")
	require.False(t, r.self.BootstrapCandidate)
	self, other := answerOf(1, 1), answerOf(2, 1)
	self.DialedAddress, other.DialedAddress = "localhost:1", "other:1"
	r.answered(self, 0)
	r.answered(other, 0)
	require.Empty(t, r.waits(0))
	contacts, _ := r.contacts()
	require.NotContains(t, contacts, "localhost:1")
}

// What comes from outside is bounded, and never noted twice.
func TestRendezvousIsBounded(t *testing.T) {
	r := waiting(1, []string{"h1"}, 1)
	for token := range uint64(2 * maxPeers) {
		r.asked(&messages.BootstrapPeer{DirectoryToken: token + 2, Name: fmt.Sprint(token), Address: "h", BootstrapCandidate: true}, false, 0)
	}
	require.Len(t, r.peers, maxPeers)
	r = waiting(1, []string{"h1"}, 1)
	for _, p := range []*messages.BootstrapPeer{
		{Name: "n", Address: "h"}, {DirectoryToken: 2, Name: "n"}, {DirectoryToken: 2, Name: strings.Repeat("n", 65), Address: "h"},
		{DirectoryToken: 2, Name: "n", Address: strings.Repeat("h", 301)}, {DirectoryToken: 1, Name: "n", Address: "h"},
	} {
		p.BootstrapCandidate = true
		require.Nil(t, r.asked(p, false, 0).save)
	}
	require.Empty(t, r.peers)
	require.Zero(t, r.belongs(1, 0))
	require.EqualValues(t, 1, r.belongs(2, time.Second), "seeds of two clusters")
	require.Zero(t, r.belongs(2, time.Minute))
}

func TestConfigRefusesNonsense(t *testing.T) {
	for says, c := range map[string]Config{
		"no data directory": {},
		"expect is -1":      {Dir: "x", Expect: -1},
		"no seeds":          {Dir: "x", Expect: 3},
		"host:port":         {Dir: "x", Seeds: []string{"nonsense"}},
		"without TLS":       {Dir: "x", RESP: "0.0.0.0:1"},
		"no port":           {Dir: "x", Listen: "127.0.0.1:70000"},
		"groups is 9":       {Dir: "x", Buckets: 3, Groups: 9},
		"say key=value":     {Dir: "x", Labels: []string{"zone"}},
		"is there twice":    {Dir: "x", Labels: []string{"zone=a", "zone=b"}},
		"replace-after":     {Dir: "x", ReplaceAfter: time.Second},
		"clock-ratio":       {Dir: "x", ClockRatio: 4},
	} {
		require.ErrorContains(t, c.fill(), says)
	}
}
