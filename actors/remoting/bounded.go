package remoting

import (
	"net"
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
}

// Bound bounds a listener. refuse ends a connection that is above the bound; it must not block.
func Bound(l net.Listener, most int, refuse func(net.Conn)) *Bounded {
	return &Bounded{Listener: l, most: int64(most), refuse: refuse}
}

// Accept implements net.Listener.
func (b *Bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if b.open.Add(1) <= b.most {
			return &boundedConn{Conn: conn, of: b}, nil
		}
		b.open.Add(-1)
		b.refuse(conn)
	}
}

// boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn
	of   *Bounded
	once sync.Once
}

func (c *boundedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.of.open.Add(-1) })
	return err
}
