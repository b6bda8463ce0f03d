package clustertest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/actors/actortest"
	"github.com/eraft-io/eraft/cluster/clustertest"
	"github.com/eraft-io/eraft/messages"
)

// hop is a request that leaves a host, or an answer that comes to it.
type hop struct {
	what string
	at   time.Duration
}

// hops are those of a host's clients since a number of effects.
func hops(s *clustertest.Simulation, host string, since uint64) (all []hop) {
	entries := s.Journal().Entries()
	for _, e := range entries[len(entries)-int(s.Journal().Total()-since):] {
		switch m := e.Message.(type) {
		case *messages.Requests:
			if e.Kind == actortest.Sent && e.From == host && strings.HasPrefix(m.Sessions[0].Id, "session/") {
				all = append(all, hop{fmt.Sprintf("asks group %d", m.Group), e.At})
			}
		case *messages.Replies:
			if e.Kind == actortest.Received && strings.HasPrefix(e.To, host+"/session/") {
				all = append(all, hop{fmt.Sprintf("hears %v of group %d", m.Replies[0].Code, m.FromGroup), e.At})
			}
		}
	}
	return all
}

// A request that meets a bucket which has moved goes from the old group straight to the new one: one refusal, one hop more,
// and nothing waited for in between, for a Go client as for a Redis client, which asks through a node. Neither hears of a
// newer config meanwhile.
func TestRedirectIsOneHop(t *testing.T) {
	for _, redis := range []bool{false, true} {
		t.Run(map[bool]string{false: "Go client", true: "Redis client"}[redis], func(t *testing.T) {
			s := startCluster(t, 600, clustertest.Options{Nodes: 5, Groups: 2, World: []actortest.Option{actortest.KeepEntries(1 << 20)}})
			placed(t, s)
			admin, c, host := s.Client("admin"), s.Client("c"), "c:1"
			if redis {
				var idle *clustertest.SimNode
				for _, m := range s.Nodes {
					if !slices.Contains(groupOf(t, m, 0).Replicas, status(t, m).NodeID) && !leads(t, m, 1) && !leads(t, m, 2) {
						idle = m
					}
				}
				require.NotNil(t, idle)
				c, host = idle.Gateway(), idle.Machine().Address()
			}
			keys := map[uint64]string{}
			for tag := 0; len(keys) < 2; tag++ {
				keys[owner(t, s, fmt.Sprint(tag))] = fmt.Sprint(tag)
			}
			for _, group := range []uint64{1, 2} { // it knows who leads
				_, err := c.Do(put(keys[group], "v"))
				require.NoError(t, err)
			}
			s.Network().SetMessageFaults(func(e actortest.Envelope) actortest.Faults {
				if _, push := e.Message.(*messages.ConfigPush); push && e.To == host {
					return actortest.Faults{Drop: 1}
				}
				return actortest.Faults{}
			})
			b := uint32(messages.BucketOf([]byte(keys[1]), 16))
			_, err := admin.Do(move(b, b, 2))
			require.NoError(t, err)
			require.True(t, s.RunUntil(func() bool { return len(leader(t, s, 0).Node.Moving()) == 0 }, time.Minute))
			s.Advance(5 * time.Second)

			since := s.Journal().Total()
			_, err = c.Do(put(keys[1], "w"))
			require.NoError(t, err)
			went := hops(s, host, since)
			var what []string
			for _, h := range went {
				what = append(what, h.what)
			}
			require.Equal(t, []string{"asks group 1", "hears WRONG_GROUP of group 1", "asks group 2", "hears OK of group 2"}, what)
			require.Equal(t, went[1].at, went[2].at, "nothing was waited for")
		})
	}
}
