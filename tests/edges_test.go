package tests

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
)

// unread is a pipe that is full, or whose reader is gone.
func unread(t *testing.T, gone bool) *os.File {
	var ends [2]int
	require.NoError(t, syscall.Pipe2(ends[:], syscall.O_CLOEXEC))
	if gone {
		require.NoError(t, syscall.Close(ends[0]))
	} else {
		t.Cleanup(func() { require.NoError(t, syscall.Close(ends[0])) })
		require.NoError(t, syscall.SetNonblock(ends[1], true))
		for err := error(nil); !errors.Is(err, syscall.EAGAIN); {
			_, err = syscall.Write(ends[1], make([]byte, 4096))
		}
		require.NoError(t, syscall.SetNonblock(ends[1], false))
	}
	w := os.NewFile(uintptr(ends[1]), "stderr")
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

// A node lives on, and serves and ends well, when nobody reads its log: the reader is gone, or does not read.
func TestNobodyReadsTheLog(t *testing.T) {
	p := startProcesses(t, 1)
	for _, gone := range []bool{true, false} {
		p.stop(0)
		p.err = unread(t, gone)
		p.start(0)
		p.ready()
		c, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds})
		require.NoError(t, err)
		_, err = c.Put(t.Context(), []byte("k"), []byte("v"))
		require.NoError(t, err)
		require.NoError(t, c.Close())
	}
	p.stop(0)
}

// Nobody else may read what a node has made; a directory that was open before is told of, and stays as it is.
func TestDataIsPrivate(t *testing.T) {
	p := startProcesses(t, 1)
	files := 0
	require.NoError(t, filepath.WalkDir(p.data(0), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		files++
		info, err := d.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is %v", path, info.Mode())
		return nil
	}))
	require.Greater(t, files, 5)
	require.NotContains(t, p.log(0), "open to others")
	p.stop(0)
	require.NoError(t, os.Chmod(p.data(0), 0o755))
	p.start(0)
	p.ready()
	require.Contains(t, p.log(0), `level=WARN msg="data directory is open to others"`)
	require.Contains(t, p.log(0), "chmod 700 "+p.data(0))
}

// A list with blanks is the list without them: a node that is given one finds its cluster.
func TestSeedsWithBlanks(t *testing.T) {
	p := startProcesses(t, 1)
	addresses := p.free(2)
	p.seeds, p.http, p.procs = append(p.seeds, addresses[0]), append(p.http, addresses[1]), append(p.procs, nil)
	p.knows = append(p.knows, " "+p.seeds[1]+", "+p.seeds[0])
	p.start(1)
	p.ready()
	text, code := p.run("status", "--seeds", p.knows[1])
	require.Zero(t, code, text)
}

// A process that may open few files has fewer clients, and nothing else of it suffers: nodes find each other, tables are written and
// read, and whoever is refused is told, and counted.
func TestFewFiles(t *testing.T) {
	resp := ""
	p := startProcesses(t, 3, func(i int) []string {
		if i == 0 && resp != "" {
			return []string{"--resp", resp}
		}
		return nil
	})
	resp = p.free(1)[0]
	p.via = []string{"sh", "-c", `ulimit -n 256 && exec "$@"`, "sh"}
	restart := func() {
		p.stop(0)
		p.start(0)
		p.ready()
	}
	restart()
	for range 440 {
		for _, address := range []string{resp, p.seeds[0], p.http[0]} {
			conn, err := net.Dial("tcp", address)
			require.NoError(t, err)
			defer conn.Close()
		}
	}
	require.Eventually(t, func() bool { // Redis clients are told
		conn, err := net.Dial("tcp", resp)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
		line, err := bufio.NewReader(conn).ReadString('\n')
		return err == nil && line == "-ERR max number of clients reached\r\n"
	}, 20*time.Second, 50*time.Millisecond)
	c, err := client.Connect(t.Context(), client.Config{Seeds: p.seeds, Timeout: 25 * time.Second})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	value := make([]byte, 256<<10)
	for i := range 300 { // some tens of MiB become a table
		_, err := c.Put(t.Context(), fmt.Appendf(nil, "k%d", i), value)
		require.NoError(t, err, p.log(0))
	}
	p.ready() // idle connections to the HTTP listener are gone by now
	counts := p.metrics(0)
	for _, listener := range []string{"resp", "listen", "http"} {
		require.Greater(t, counts[`eraft_connections_refused_total{listener="`+listener+`"}`], 100.0, listener)
	}
	require.Less(t, counts["process_open_fds"], 256.0)
	restart()
	for i := range 300 {
		v, _, err := c.Get(t.Context(), fmt.Appendf(nil, "k%d", i))
		require.NoError(t, err)
		require.Len(t, v.Data, len(value))
	}
}

// metrics are what a node tells Prometheus.
func (p *processes) metrics(i int) map[string]float64 {
	r, err := http.Get("http://" + p.http[i] + "/metrics")
	require.NoError(p.t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(p.t, err)
	all := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		if at := strings.LastIndexByte(line, ' '); at > 0 && line[0] != '#' {
			all[line[:at]], err = strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			require.NoError(p.t, err, line)
		}
	}
	return all
}
