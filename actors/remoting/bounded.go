package remoting

import (
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// Bounded is a listener that has a bounded number of connections. What comes above is refused at once, so that it waits for nothing
// and holds nothing.
type Bounded struct {
	net.Listener
	most   int64
	open   atomic.Int64
	refuse func(net.Conn)

	mu     sync.Mutex
	conns  map[*boundedConn]struct{}
	closed bool
}

// Bound bounds a listener. refuse ends a connection that is above the bound; it must not block.
func Bound(l net.Listener, most int, refuse func(net.Conn)) *Bounded {
	return &Bounded{Listener: l, most: int64(most), refuse: refuse, conns: map[*boundedConn]struct{}{}}
}

// Accept implements net.Listener.
func (b *Bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= b.most {
			return b.keep(&boundedConn{Conn: conn, of: b}), nil
		}
		b.open.Add(-1)
		b.refuse(conn)
	}
}

func (b *Bounded) keep(c *boundedConn) *boundedConn {
	b.mu.Lock()
	b.conns[c] = struct{}{}
	closed := b.closed
	b.mu.Unlock()
	if closed {
		_ = c.Close() // who got it reads that it is
	}
	return c
}

// CloseAll closes the listener and what it has accepted: a server that stops must not wait for connections that have never said anything.
func (b *Bounded) CloseAll() error {
	err := b.Listener.Close()
	b.mu.Lock()
	b.closed = true
	all := slices.Collect(maps.Keys(b.conns))
	b.mu.Unlock()
	for _, c := range all {
		_ = c.Close() // whoever uses it is told by its next call
	}
	return err
}

// boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn
	of   *Bounded
	once sync.Once
}

func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.of.open.Add(-1)
		c.of.mu.Lock()
		delete(c.of.conns, c)
		c.of.mu.Unlock()
	})
	return err
}
