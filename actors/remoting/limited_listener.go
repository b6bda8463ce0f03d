package remoting

import (
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// LimitedListener is a listener with a bounded number of connections. A connection above the bound is refused at once, so that it waits for
// nothing and holds no memory.
type LimitedListener struct {
	net.Listener
	limit  int64
	open   atomic.Int64
	refuse func(net.Conn)

	mu     sync.Mutex
	conns  map[*limitedConn]struct{}
	closed bool
}

// LimitListener bounds the connections of a listener to most at a time. refuse ends a connection above the bound; it must not block.
func LimitListener(l net.Listener, most int, refuse func(net.Conn)) *LimitedListener {
	return &LimitedListener{Listener: l, limit: int64(most), refuse: refuse, conns: map[*limitedConn]struct{}{}}
}

// Accept implements net.Listener.
func (b *LimitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= b.limit {
			return b.keep(&limitedConn{Conn: conn, listener: b}), nil
		}
		b.open.Add(-1)
		b.refuse(conn)
	}
}

func (b *LimitedListener) keep(c *limitedConn) *limitedConn {
	b.mu.Lock()
	b.conns[c] = struct{}{}
	closed := b.closed
	b.mu.Unlock()
	if closed {
		_ = c.Close() // the server's next call on it fails
	}
	return c
}

// CloseAll closes the listener and all connections that it has accepted: a server that stops must not wait for connections that have sent
// nothing.
func (b *LimitedListener) CloseAll() error {
	err := b.Listener.Close()
	b.mu.Lock()
	b.closed = true
	all := slices.Collect(maps.Keys(b.conns))
	b.mu.Unlock()
	for _, c := range all {
		_ = c.Close() // the next call on it fails
	}
	return err
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	listener *LimitedListener
	once     sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.listener.open.Add(-1)
		c.listener.mu.Lock()
		delete(c.listener.conns, c)
		c.listener.mu.Unlock()
	})
	return err
}
