//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// network is the switch between the hosts. Each host has a namespace with one link, a TUN device whose other end is
// here: every packet between two hosts passes through forward, which cuts, loses and delays as the present fault wants.
// All of it is gone when this process is, however that ends.
type network struct {
	hosts   []*host
	fault   atomic.Pointer[fault]
	passed  atomic.Int64
	dropped atomic.Int64
	delayed atomic.Int64
}

// host is a network namespace and the far end of its link.
type host struct {
	wire *os.File
	do   chan func() // runs in the namespace; nil: that of this process
}

// address of a host; nothing else is in these namespaces, so any network would do.
func address(host int) string { return "10.77.0." + strconv.Itoa(host+1) }

// ownNamespace gives this whole process a network namespace of its own: a thread leaves the machine's, and becomes the
// process. It returns in the new one.
func ownNamespace() error {
	const mark = "ERAFT_ROBUSTNESS_NAMESPACE"
	if os.Getenv(mark) == strconv.Itoa(os.Getpid()) {
		return os.Unsetenv(mark)
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(self, os.Args, append(os.Environ(), mark+"="+strconv.Itoa(os.Getpid())))
}

// newNetwork makes hosts 0 to nodes, all connected. Host 0 is in the namespace of this process.
func newNetwork(nodes int, seed uint64) (*network, error) {
	n := &network{}
	n.fault.Store(&fault{})
	for i := range nodes + 1 {
		h := &host{}
		if i > 0 {
			if err := h.unshare(); err != nil {
				return nil, err
			}
		}
		if err := h.in(func() error { return h.plug(i) }); err != nil {
			return nil, fmt.Errorf("host %d: %w", i, err)
		}
		n.hosts = append(n.hosts, h)
	}
	for i := range n.hosts {
		go n.forward(i, rand.New(rand.NewPCG(seed, uint64(100+i))))
	}
	return n, nil
}

// unshare makes a namespace with a thread that stays in it for ever: what is started there lives there, and dies with
// that thread if it wants so.
func (h *host) unshare() error {
	h.do = make(chan func())
	made := make(chan error)
	go func() {
		runtime.LockOSThread()
		made <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range h.do {
			f()
		}
	}()
	return <-made
}

// in runs f in the namespace of the host.
func (h *host) in(f func() error) error {
	if h.do == nil {
		return f()
	}
	done := make(chan error)
	h.do <- func() { done <- f() }
	return <-done
}

// plug makes the link of the namespace in which it is called.
func (h *host) plug(i int) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq("eraft0")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return errors.Join(fmt.Errorf("make a TUN device: %w", err), unix.Close(fd))
	}
	h.wire = os.NewFile(uintptr(fd), "eraft0")
	for _, args := range [][]string{
		{"link", "set", "lo", "up"}, {"addr", "add", address(i) + "/24", "dev", "eraft0"}, {"link", "set", "eraft0", "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	return nil
}

// forward carries what a host sends, until the network is closed.
func (n *network) forward(from int, rng *rand.Rand) {
	buffer := make([]byte, 64<<10)
	for {
		size, err := n.hosts[from].wire.Read(buffer)
		if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
			return
		}
		packet := buffer[:max(size, 0)]
		to := destination(packet)
		if err != nil || to < 0 || to >= len(n.hosts) || to == from {
			continue // not one of ours: what a kernel says to all its neighbours
		}
		l := n.fault.Load().between(from, to)
		switch {
		case l.cut || rng.Float64() < l.loss:
			n.dropped.Add(1)
		case l.delay > 0:
			n.delayed.Add(1)
			later, copied := l.delay+time.Duration(rng.Int64N(int64(l.jitter)+1)), append([]byte(nil), packet...)
			time.AfterFunc(later, func() { n.deliver(to, copied) })
		default:
			n.deliver(to, packet)
		}
	}
}

func (n *network) deliver(to int, packet []byte) {
	n.passed.Add(1)
	if _, err := n.hosts[to].wire.Write(packet); err != nil {
		n.dropped.Add(1) // TCP will see to it
	}
}

// destination is the host that an IPv4 packet goes to, or -1.
func destination(packet []byte) int {
	if len(packet) < 20 || packet[0]>>4 != 4 || packet[16] != 10 || packet[17] != 77 || packet[18] != 0 {
		return -1
	}
	return int(packet[19]) - 1
}

// close takes the links and the namespaces away. Nothing may live in them any more.
func (n *network) close() error {
	var problems []error
	for _, h := range n.hosts {
		problems = append(problems, h.wire.Close())
		if h.do != nil {
			close(h.do)
		}
	}
	return errors.Join(problems...)
}
