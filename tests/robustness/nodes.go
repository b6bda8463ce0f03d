//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	port     = ":7400"
	httpPort = ":8080"
)

// node is a place for an `eraft server`: its namespace, its directory, and the process that runs there now.
type node struct {
	host   *host
	number int
	dir    string
	args   []string
	failed func(format string, args ...any) // is told if the process ends by itself

	mu       sync.Mutex
	process  *exec.Cmd     // nil: dead
	ended    chan struct{} // of process
	expected bool          // the end of process
}

func newNode(n *network, number, nodes int, binary, dir string, failed func(string, ...any)) *node {
	var seeds []string
	for i := 1; i <= nodes; i++ {
		seeds = append(seeds, address(i)+port)
	}
	name := "n" + strconv.Itoa(number)
	return &node{
		host: n.hosts[number], number: number, dir: dir, failed: failed,
		args: []string{
			binary, "server", "--insecure", "--name", name, "--data", filepath.Join(dir, "data", name),
			"--listen", address(number) + port, "--http", address(number) + httpPort,
			"--seeds", strings.Join(seeds, ","), "--expect", strconv.Itoa(nodes),
		},
	}
}

func (n *node) logFile() string { return filepath.Join(n.dir, fmt.Sprintf("n%d.log", n.number)) }

// start runs the server, if it does not run. It dies with this process.
func (n *node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		return nil
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(n.args[0], n.args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "ERAFT_") })
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C is for us alone
	if err := n.host.in(cmd.Start); err != nil {
		return err
	}
	ended := make(chan struct{})
	n.process, n.ended, n.expected = cmd, ended, false
	go func() {
		err := cmd.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.expected {
			n.failed("n%d ended by itself: %v", n.number, err)
		}
		n.process = nil
		close(ended)
	}()
	return nil
}

// signal sends a signal to the process, if there is one.
func (n *node) signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return nil
	}
	n.expected = n.expected || s == syscall.SIGKILL
	return n.process.Process.Signal(s)
}

// kill is kill -9, and waits for the end.
func (n *node) kill() error {
	if err := n.signal(syscall.SIGKILL); err != nil {
		return err
	}
	n.mu.Lock()
	process, ended := n.process, n.ended
	n.mu.Unlock()
	if process != nil {
		<-ended
	}
	return nil
}

// status is the part of a node's status that tells whether all has healed.
type status struct {
	Ready  bool `json:"ready"`
	Groups []struct {
		ID      uint64 `json:"id"`
		Leader  uint64 `json:"leader"`
		Applied uint64 `json:"applied"`
	} `json:"groups"`
	Nodes []struct {
		ID    uint64 `json:"id"`
		Name  string `json:"name"`
		State string `json:"state"`
		Drain *struct {
			Percent int `json:"percent"`
		} `json:"drain"`
	} `json:"nodes"`
	Buckets struct {
		Moving []uint32 `json:"moving"`
	} `json:"buckets"`
	Placement struct {
		Known bool `json:"known"`
		Steps []struct {
			What string `json:"what"`
			Why  string `json:"why"`
		} `json:"steps"`
	} `json:"placement"`
}

var web = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (n *node) get(ctx context.Context, path string) (code int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(n.number)+httpPort+path, nil)
	if err != nil {
		return 0, nil, err
	}
	r, err := web.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	body, err = io.ReadAll(r.Body)
	return r.StatusCode, body, err
}

func (n *node) status(ctx context.Context) (*status, error) {
	_, body, err := n.get(ctx, "/api/v1/status")
	if err != nil {
		return nil, err
	}
	s := new(status)
	return s, json.Unmarshal(body, s)
}

// ails says why a node has not healed yet: "" if it has.
func (n *node) ails(ctx context.Context) string {
	code, body, err := n.get(ctx, "/readyz")
	if err != nil {
		return fmt.Sprintf("n%d: %v", n.number, err)
	}
	if code != http.StatusOK {
		return fmt.Sprintf("n%d is not ready: %s", n.number, strings.TrimSpace(string(body)))
	}
	s, err := n.status(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("n%d: %v", n.number, err)
	case len(s.Buckets.Moving) > 0:
		return fmt.Sprintf("n%d: buckets %v are on their way", n.number, s.Buckets.Moving)
	case !s.Placement.Known:
		return fmt.Sprintf("n%d has not heard placement", n.number)
	case len(s.Placement.Steps) > 0:
		return fmt.Sprintf("n%d: placement still wants %v", n.number, s.Placement.Steps)
	}
	for _, other := range s.Nodes {
		if other.State != "up" {
			return fmt.Sprintf("n%d sees %s %s", n.number, other.Name, other.State)
		}
	}
	return ""
}
