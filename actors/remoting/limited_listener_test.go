package remoting

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// Above the bound a connection is refused; as soon as another one is closed there is room again, once.
func TestBoundedListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	b := LimitListener(l, 2, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "full")
		_ = conn.Close()
	})
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	isRefused := func() {
		said, err := io.ReadAll(dial())
		require.NoError(t, err)
		require.Equal(t, "full", string(said))
	}
	dial()
	first := <-accepted
	dial()
	<-accepted
	isRefused()
	require.NoError(t, first.Close())
	require.Error(t, first.Close(), "closed twice, it gives one place back")
	dial()
	<-accepted
	isRefused()
	require.NoError(t, b.CloseAll())
	_, open := <-accepted
	require.False(t, open)
	require.Zero(t, b.open.Load(), "connections end with it")
}
