package cluster_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster"
)

// Who looks at the metrics sees how long requests and syncs take, whether the node serves, what it is, and what its disk holds.
func TestMetricsTell(t *testing.T) {
	c := alone(t)
	c.RESP, c.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	lives(t, c, func(n *cluster.Node) {
		conn, err := net.Dial("tcp", n.RESP())
		require.NoError(t, err)
		defer conn.Close()
		lines := bufio.NewReader(conn)
		for _, c := range []struct{ command, answer string }{
			{"SET k v", "+OK\r\n"}, {"GET none", "$-1\r\n"}, {"INCR k", "-ERR value is not an integer or out of range\r\n"},
		} {
			_, err := io.WriteString(conn, c.command+"\r\n")
			require.NoError(t, err)
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, c.answer, line)
		}
		metrics := func() string {
			r, err := http.Get("http://" + n.HTTP() + "/metrics")
			require.NoError(t, err)
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			return string(body)
		}
		require.Eventually(t, func() bool { return strings.Contains(metrics(), `eraft_disk_bytes{of="log"}`) }, 20*time.Second, 10*time.Millisecond)
		text := metrics()
		for _, line := range []string{
			`(?m)^eraft_ready 1$`, `(?m)^eraft_build_info\{commit="\S+",go="go1\S*",level="\d+",version="\S+"\} 1$`,
			`(?m)^eraft_request_seconds_count\{code="OK",kind="write"\} 1$`, `(?m)^eraft_request_seconds_count\{code="OK",kind="read"\} 1$`,
			`(?m)^eraft_request_seconds_count\{code="INVALID",kind="write"\} 1$`, `(?m)^eraft_log_sync_seconds_count [1-9]`,
			`(?m)^eraft_raft_commit_seconds_count [1-9]`,
			`(?m)^eraft_disk_bytes\{of="log"\} [1-9]`, `(?m)^eraft_disk_bytes\{of="state"\} [1-9]`, `(?m)^eraft_disk_bytes\{of="free"\} [1-9]`,
			`(?m)^eraft_disk_bytes\{of="total"\} [1-9]`, `(?m)^eraft_disk_bytes\{of="reserve"\} [1-9]`,
		} {
			require.Regexp(t, line, text)
		}
	})
}
