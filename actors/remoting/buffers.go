package remoting

import (
	"fmt"
	"math/bits"
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// buffers is the pool of the buffers of encoded messages. Unlike gRPC's own pool, which clears a whole buffer before each use and has none
// between 32 KB and 1 MB, its buffers are at most twice too large and are not cleared: the caller of Get fills them.
var buffers mem.BufferPool = new(bufferPool)

// bufferPool keeps buffers of 2^low to 2^high bytes, by size.
type bufferPool [maxPower - minPower + 1]sync.Pool

const (
	minPower = 11 // smaller ones never come back: to gRPC they are slices
	maxPower = 22
)

// tier gives the pool of buffers of at least size bytes, and how large they are; nil: none are kept.
func (p *bufferPool) tier(size int) (*sync.Pool, int) {
	power := bits.Len(uint(max(size, 1) - 1))
	if power < minPower || power > maxPower {
		return nil, size
	}
	return &p[power-minPower], 1 << power
}

// Get returns a buffer of a length, with arbitrary content.
func (p *bufferPool) Get(length int) *[]byte {
	tier, size := p.tier(length)
	if tier != nil {
		if b, ok := tier.Get().(*[]byte); ok {
			*b = (*b)[:length]
			return b
		}
	}
	b := make([]byte, length, size)
	return &b
}

// Put takes a buffer back.
func (p *bufferPool) Put(b *[]byte) {
	if tier, size := p.tier(cap(*b)); tier != nil && size == cap(*b) {
		tier.Put(b)
	}
}

// codec is gRPC's codec: for protobuf, with buffers of the pool, and for the messages that this package encodes and decodes itself.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if p, ok := v.(*frame); ok {
		return p.encode(), nil
	}
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", v)
	}
	b := buffers.Get(proto.Size(m))
	if _, err := (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend((*b)[:0], m); err != nil {
		buffers.Put(b)
		return nil, err
	}
	return mem.BufferSlice{mem.NewBuffer(b, buffers)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	if w, ok := v.(*encodedMessage); ok {
		w.Buffer = data.MaterializeToBuffer(buffers)
		return nil
	}
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no protobuf message", v)
	}
	whole := data.MaterializeToBuffer(buffers)
	defer whole.Free()
	return proto.Unmarshal(whole.ReadOnlyData(), m)
}
