package tests

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
)

// indexes is how far each group of a node is, by its status.
func (p *processes) indexes(i int) map[uint64]uint64 {
	r, err := http.Get("http://" + p.http[i] + "/api/v1/status")
	if err != nil {
		return nil
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(p.t, err)
	var status struct {
		Groups []struct{ ID, Commit, Applied uint64 }
	}
	require.NoError(p.t, json.Unmarshal(body, &status))
	at := map[uint64]uint64{}
	for _, g := range status.Groups {
		at[g.ID] = g.Applied
	}
	return at
}

// R7: a node is away while 80 MiB are written, more than any log keeps. When it is back it gets the data in pieces, and
// the log from there; then it holds the quorum together with one other, and has every value.
func TestNodeCatchesUpFrom80MiB(t *testing.T) {
	p := startProcesses(t, 3)
	c, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds, Timeout: 25 * time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	const keys, size, writers = 1280, 64 << 10, 8
	value := func(i int) []byte {
		v := make([]byte, size)
		for at := 0; at < size; at += 8 {
			binary.BigEndian.PutUint64(v[at:], uint64(i)*0x9E3779B97F4A7C15+uint64(at))
		}
		return v
	}
	key := func(i int) []byte { return fmt.Appendf(nil, "big%d", i) }
	each := func(do func(i int) error) {
		failed := make([]error, writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := w; i < keys && failed[w] == nil; i += writers {
					failed[w] = do(i)
				}
			})
		}
		wg.Wait()
		for _, err := range failed {
			require.NoError(t, err)
		}
	}
	p.kill(2)
	each(func(i int) error { _, err := c.Put(t.Context(), key(i), value(i)); return err })
	p.start(2)
	p.ready()
	require.Eventually(t, func() bool {
		ahead, back := p.indexes(0), p.indexes(2)
		for group, index := range ahead {
			if back[group] < index {
				return false
			}
		}
		return len(back) > 0
	}, time.Minute, 100*time.Millisecond, "n3 does not catch up")
	p.kill(1)
	each(func(i int) error {
		got, found, err := c.Get(t.Context(), key(i))
		if err == nil && (!found || string(got.Data) != string(value(i))) {
			err = fmt.Errorf("key %d is not what was written", i)
		}
		return err
	})
}
