package meta

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
)

// counted counts what is read.
type counted struct {
	persistence.Reader
	gets, bytes int
}

func (c *counted) Get(key []byte) ([]byte, bool, error) {
	value, found, err := c.Reader.Get(key)
	c.gets, c.bytes = c.gets+1, c.bytes+len(value)
	return value, found, err
}

func (c *counted) Scan(low, high []byte, f func(key, value []byte) bool) error {
	return c.Reader.Scan(low, high, func(key, value []byte) bool {
		c.bytes += len(value)
		return f(key, value)
	})
}

type batchTx struct {
	persistence.Reader
	batch *persistence.Batch
}

func (x batchTx) Put(k, v []byte)       { x.batch.Put(k, v) }
func (x batchTx) Delete(k []byte)       { x.batch.Delete(k) }
func (x batchTx) DeletePrefix(p []byte) { x.batch.DeleteRange(p, persistence.PrefixEnd(p)) }

// written appends versions to a chain, and gives how many bytes they take.
func written(t *testing.T, e *memory.Engine, chain []*messages.Config, from int) (bytes int) {
	for i := from; i < len(chain); i++ {
		b := new(persistence.Batch)
		var before *messages.Config
		if i > 0 {
			before = chain[i-1]
		}
		require.NoError(t, appendConfig(batchTx{e, b}, before, chain[i]))
		bytes += b.Bytes()
		require.NoError(t, e.Write(b, false))
	}
	return bytes
}

// grow makes a chain longer by random changes, all of one feature level.
func grow(rng *rand.Rand, chain []*messages.Config, versions, buckets int, level messages.Level) []*messages.Config {
	for range versions {
		next := &messages.Config{ClusterId: 9, Owners: make([]uint64, buckets), PreviousOwners: make([]uint64, buckets), MovedVersions: make([]uint64, buckets)}
		if len(chain) > 0 {
			next = proto.Clone(chain[len(chain)-1]).(*messages.Config)
		}
		next.Version, next.Level = next.Version+1, uint32(level)
		next.TimeMs, next.Change = next.Version*7, fmt.Sprint("change ", next.Version)
		switch rng.IntN(7) {
		case 0:
			id := uint64(1)
			if n := len(next.Nodes); n > 0 {
				id = next.Nodes[n-1].Id + 1
			}
			next.Nodes = append(next.Nodes, &messages.Node{Id: id, Name: fmt.Sprint("n", id), Address: "10.0.0.1:7401", DirectoryToken: rng.Uint64()})
		case 1:
			if n := len(next.Nodes); n > 0 {
				next.Nodes[rng.IntN(n)].Epoch++
			}
		case 2:
			if n := len(next.Nodes); n > 0 {
				next.Nodes = append(next.Nodes[:0:0], next.Nodes[1:]...)
			}
		case 3:
			next.Groups = append(next.Groups, &messages.Group{Id: uint64(len(next.Groups)), Nodes: []uint64{1, 2, 3}})
		case 4:
			next.ForcedQuorums = append(next.ForcedQuorums, &messages.ForcedQuorum{Group: 1, Node: next.Version})
		default:
			b := rng.IntN(buckets)
			next.Owners[b], next.PreviousOwners[b], next.MovedVersions[b] = rng.Uint64N(9), rng.Uint64N(9), next.Version
			next.MovesPending, next.Placement = []uint32{uint32(b)}, messages.Placement(rng.IntN(3))
			if rng.IntN(2) == 0 {
				next.Pinned, next.MovesPending, next.Reverting = []uint32{uint32(b)}, nil, nil
			}
		}
		chain = append(chain, next)
	}
	return chain
}

// Every version is what it was, however the chain is kept, also behind one that an older program has written whole.
func TestChainKeepsEveryVersion(t *testing.T) {
	for seed := range uint64(20) {
		rng, e := rand.New(rand.NewPCG(seed, 1)), memory.New()
		old := rng.IntN(150)
		chain := grow(rng, nil, old, 16, messages.FirstLevel)
		written(t, e, chain, 0)
		chain = grow(rng, chain, 1+rng.IntN(300), 16, deltaLevel)
		written(t, e, chain, old)
		newest, err := newestConfig(e)
		require.NoError(t, err)
		require.True(t, proto.Equal(chain[len(chain)-1], newest))
		for _, want := range chain {
			is, err := readConfig(e, want.Version)
			require.NoError(t, err)
			require.True(t, proto.Equal(want, is), "version %d", want.Version)
			h, err := readHead(e, want.Version)
			require.NoError(t, err)
			require.Equal(t, want.Change, h.Change)
		}
	}
	newest, err := newestConfig(memory.New())
	require.NoError(t, err)
	require.Nil(t, newest)
}

// What a start and a version cost does not grow with the chain.
func TestChainCostsWhatItChanges(t *testing.T) {
	const buckets = 16384
	rng, e := rand.New(rand.NewPCG(1, 1)), memory.New()
	chain := grow(rng, nil, 3, buckets, deltaLevel)
	written(t, e, chain, 0)
	whole := 0
	for n := range 3 {
		from := len(chain)
		chain = grow(rng, chain, fullInterval, buckets, deltaLevel)
		bytes := written(t, e, chain, from)
		whole = max(whole, proto.Size(chain[len(chain)-1]))
		require.Less(t, bytes, whole+fullInterval*1024, "%d versions: one whole, the others by what they change", fullInterval)
		r := &counted{Reader: e}
		require.NoError(t, New().Open(r))
		require.Less(t, r.bytes, whole+4*fullInterval*1024, "round %d", n)
		require.Less(t, r.gets, 3*fullInterval)
	}
}

// A chain that is not whole is noticed when what is missing is needed.
func TestChainIsChecked(t *testing.T) {
	e := memory.New()
	chain := grow(rand.New(rand.NewPCG(1, 2)), nil, 10, 16, deltaLevel)
	written(t, e, chain, 0)
	b := new(persistence.Batch)
	b.Put(deltaKey(11), []byte("x"))
	require.NoError(t, e.Write(b, false))
	require.ErrorContains(t, New().Open(e), "config 11 is damaged")
	b = new(persistence.Batch)
	b.Delete(deltaKey(11))
	b.Delete(deltaKey(9))
	require.NoError(t, e.Write(b, false))
	_, err := readConfig(e, 10)
	require.ErrorContains(t, err, "config 9 is missing")
	step := deltaOf(chain[4], chain[5])
	_, err = applyDelta(chain[3], step)
	require.ErrorContains(t, err, "has 6 behind 4")
	step.Buckets = append(step.Buckets, &messages.BucketDelta{Bucket: 99})
	_, err = applyDelta(chain[4], step)
	require.ErrorContains(t, err, "bucket 99 of 16")
}

// BenchmarkChain is what the record of a version costs.
func BenchmarkChain(b *testing.B) {
	chain := grow(rand.New(rand.NewPCG(1, 3)), nil, 10, 16384, deltaLevel)
	for b.Loop() {
		if err := appendConfig(batchTx{nil, new(persistence.Batch)}, chain[8], chain[9]); err != nil {
			b.Fatal(err)
		}
	}
}
