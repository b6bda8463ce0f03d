package remoting

import "google.golang.org/grpc/mem"

// buffers are what messages travel in. gRPC clears a buffer as a whole before each use, and has none between 32 KB and 1 MB,
// so by default every batch of a busy group would cost the clearing of a megabyte. Here a buffer is at most twice too large.
var buffers = func() mem.BufferPool {
	var sizes []uint8 // as powers of two: 256 B to 4 MB
	for power := uint8(8); power <= 22; power++ {
		sizes = append(sizes, power)
	}
	pool, err := mem.NewBinaryTieredBufferPool(sizes...)
	if err != nil {
		panic(err) // only for powers that no address has
	}
	return pool
}()
