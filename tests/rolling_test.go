package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
)

// appliedAt is how far the replicas of a node are, as its own status says.
func (p *processes) appliedAt(i int) map[uint64]uint64 {
	r, err := http.Get("http://" + p.http[i] + "/api/v1/status")
	require.NoError(p.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(p.t, err)
	var doc struct {
		Groups []struct{ ID, Applied uint64 }
	}
	require.NoError(p.t, json.Unmarshal(body, &doc))
	all := map[uint64]uint64{}
	for _, g := range doc.Groups {
		all[g.ID] = g.Applied
	}
	return all
}

// TestRollingRestartUnderLoad is the rolling restart of docs/OPERATIONS.md: SIGTERM, wait, start, wait for /readyz, the next one.
// Much is written while each node is away; what it says is true, and no client sees a failed operation.
func TestRollingRestartUnderLoad(t *testing.T) {
	p := startProcesses(t, 3)
	c, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds, Timeout: 25 * time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	fill := func() {
		var wg sync.WaitGroup
		rng := rand.NewChaCha8([32]byte{1})
		for range 8 {
			value := make([]byte, 64<<10)
			rng.Read(value)
			wg.Go(func() {
				for i := range 40 {
					if _, err := c.Put(t.Context(), fmt.Appendf(nil, "fill%d", i), value); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	underLoad(t, p, func() {
		for i := range 3 {
			p.stop(i)
			fill()
			goal := p.appliedAt((i + 1) % 3)
			p.start(i)
			p.ready()
			for group, at := range p.appliedAt(i) {
				require.GreaterOrEqual(t, at, goal[group], "n%d is ready, but its replica of group %d has not what others had before", i+1, group)
			}
		}
	})
}
