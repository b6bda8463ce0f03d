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
func newTestDiscovery(token uint64, seeds []string, expect int, others ...uint64) *discovery {
	address := fmt.Sprint("h", token)
	r := newDiscovery(&messages.BootstrapPeer{DirectoryToken: token, Name: address, Address: address, Epoch: 1}, seeds, expect, nil)
	for _, other := range others {
		r.onReply(answerOf(other, token), 0)
	}
	return r
}

func answerOf(token, asker uint64) *messages.HelloReply {
	address := fmt.Sprint("h", token)
	return &messages.HelloReply{DirectoryToken: token, Name: address, Address: address, Epoch: 1, BootstrapCandidate: true, CandidacyRecorded: true, DialedAddress: address, ToToken: asker}
}

// One node bootstraps a cluster: the candidate with the lowest token, when all have replied.
func TestDiscovery(t *testing.T) {
	seeds := []string{"h1", "h2", "h3"}
	require.Empty(t, newTestDiscovery(1, seeds, 3, 2, 3).waitReason(0))
	require.Contains(t, newTestDiscovery(2, seeds, 3, 1, 3).waitReason(0), "h1 at h1 is to bootstrap it")
	require.Contains(t, newTestDiscovery(0xbad, seeds, 3, 1, 2, 3).waitReason(0), "no node's seeds name it")
	require.Empty(t, newTestDiscovery(9, nil, 1).waitReason(0), "alone")

	r := newTestDiscovery(1, seeds, 3, 2)
	require.Equal(t, []string{"h3"}, r.missing(0))
	require.Contains(t, r.waitReason(0), "reach this node at h1")
	require.Contains(t, newTestDiscovery(1, seeds, 3, 2, 3).waitReason(replyLifetime), "must run", "old answers do not count")
	require.Contains(t, newTestDiscovery(1, []string{"h1", "h2"}, 3, 2).waitReason(0), "2 of 3 nodes have met")

	for says, change := range map[string]func(*messages.HelloReply){
		"is bootstrapping a cluster": func(a *messages.HelloReply) { a.Joining = true },
		"has not recorded yet":       func(a *messages.HelloReply) { a.CandidacyRecorded = false },
		"an answer from [h7]":        func(a *messages.HelloReply) { a.SilentSeeds = []string{"h7"} },
		"must run":                   func(a *messages.HelloReply) { a.ToToken = 77 },
	} {
		r, a := newTestDiscovery(1, seeds, 3, 2), answerOf(3, 1)
		change(a)
		r.onReply(a, 0)
		require.Contains(t, r.waitReason(0), says)
	}
}

// A node whose only seed has lost its disks, and is not admitted to its cluster again yet, founds none: its seed has heard of
// one, however long ago.
func TestSeedThatHasHeardOfACluster(t *testing.T) {
	seed := newTestDiscovery(9, []string{"h1", "h9"}, 2)
	a := answerOf(1, 9)
	a.Joining, a.BootstrapCandidate = true, false // it is a member
	seed.onReply(a, 0)
	reply := answerOf(9, 4)
	seed.fillReply(reply)
	require.False(t, reply.Joining)
	require.Zero(t, seed.onClusterSeen(7, 0))
	seed.expire(time.Hour)
	seed.fillReply(reply)
	require.True(t, reply.Joining)
	joining := newTestDiscovery(4, []string{"h9"}, 1)
	joining.self.BootstrapCandidate = true // a node that joins as well names it
	joining.onReply(reply, 0)
	require.Contains(t, joining.waitReason(0), "h9 at h9 is bootstrapping a cluster, or joining one")
}

// A bootstrap candidate is never forgotten, by silence or by a restart, unless its directory was lost.
func TestDiscoveryForgetsNobody(t *testing.T) {
	first := &messages.BootstrapPeer{DirectoryToken: 5, Name: "n5", Address: "h5", Epoch: 1, BootstrapCandidate: true}
	r := newTestDiscovery(1, []string{"h1"}, 1)
	require.Empty(t, r.waitReason(0))
	n := r.onHello(first, false, 0)
	require.EqualValues(t, 5, n.save.GetDirectoryToken())
	require.True(t, r.onHello(first, false, 0).pending, "the answer waits for the disk")
	reply := &messages.HelloReply{ToToken: 5}
	r.fillReply(reply)
	require.False(t, reply.CandidacyRecorded)
	r.onPeerSaved(5)
	r.fillReply(reply)
	require.True(t, reply.CandidacyRecorded)
	r.expire(time.Hour)
	require.Contains(t, r.waitReason(time.Hour), "must run")

	again := newDiscovery(r.self, []string{"h1"}, 1, []*messages.BootstrapPeer{n.save})
	require.Contains(t, again.waitReason(time.Hour), "must run", "after a restart")
	stranger := &messages.BootstrapPeer{DirectoryToken: 6, Name: "n6", Address: "h6"}
	require.Nil(t, again.onHello(stranger, false, 0).save)
	again.expire(replyLifetime)
	require.NotContains(t, again.peers, uint64(6), "who founds nothing is forgotten")

	moved := &messages.BootstrapPeer{DirectoryToken: 5, Name: "n5", Address: "h55", Epoch: 2, BootstrapCandidate: true}
	again.onHello(moved, false, time.Hour)
	again.onHello(first, false, time.Hour)
	require.Equal(t, []string{"h55"}, again.missing(time.Hour), "where it was in its newest boot")
	anew := &messages.BootstrapPeer{DirectoryToken: 7, Name: "n5", Address: "h5", BootstrapCandidate: true}
	require.Empty(t, again.onHello(anew, false, time.Hour).forget, "both are there")
	require.Equal(t, []uint64{5}, again.onHello(anew, false, 2*time.Hour).forget)
	again.onReply(&messages.HelloReply{ToToken: 1, DirectoryToken: 7, Name: "n5", Address: "h5", Peers: []*messages.BootstrapPeer{first}}, 2*time.Hour)
	require.NotContains(t, again.peers, uint64(5), "what is said of a lost directory is old")
}

// Addresses have no meaning but that somebody answers there: a seed may be this node under another name.
func TestDiscoveryKnowsItselfByItsToken(t *testing.T) {
	r := newTestDiscovery(1, []string{"localhost:1", "other:1"}, 2)
	require.Contains(t, r.waitReason(0), "must run")
	require.False(t, r.self.BootstrapCandidate)
	self, other := answerOf(1, 1), answerOf(2, 1)
	self.DialedAddress, other.DialedAddress = "localhost:1", "other:1"
	r.onReply(self, 0)
	r.onReply(other, 0)
	require.Empty(t, r.waitReason(0))
	contacts, _ := r.contacts()
	require.NotContains(t, contacts, "localhost:1")
}

// What comes from outside is bounded, and never noted twice.
func TestDiscoveryIsBounded(t *testing.T) {
	r := newTestDiscovery(1, []string{"h1"}, 1)
	for token := range uint64(2 * maxPeers) {
		r.onHello(&messages.BootstrapPeer{DirectoryToken: token + 2, Name: fmt.Sprint(token), Address: "h", BootstrapCandidate: true}, false, 0)
	}
	require.Len(t, r.peers, maxPeers)
	r = newTestDiscovery(1, []string{"h1"}, 1)
	for _, p := range []*messages.BootstrapPeer{
		{Name: "n", Address: "h"}, {DirectoryToken: 2, Name: "n"}, {DirectoryToken: 2, Name: strings.Repeat("n", 65), Address: "h"},
		{DirectoryToken: 2, Name: "n", Address: strings.Repeat("h", 301)}, {DirectoryToken: 1, Name: "n", Address: "h"},
	} {
		p.BootstrapCandidate = true
		require.Nil(t, r.onHello(p, false, 0).save)
	}
	require.Empty(t, r.peers)
	require.Zero(t, r.onClusterSeen(1, 0))
	require.EqualValues(t, 1, r.onClusterSeen(2, time.Second), "seeds of two clusters")
	require.Zero(t, r.onClusterSeen(2, time.Minute))
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
