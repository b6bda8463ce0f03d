package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/client"
)

// demo is three real server processes in a temporary directory.
type demo struct {
	dir   string
	seeds []string
	http  []string
	resp  []string
	procs []*exec.Cmd
	c     *client.Client
}

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Run three nodes, kill one with -9, and show that nothing is lost", Args: exactly(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
			defer cancel()
			d := &demo{procs: make([]*exec.Cmd, 3)}
			err := d.run(ctx)
			return errors.Join(err, d.cleanUp())
		},
	}
}

func freeAddresses(n int) ([]string, error) {
	var all []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // closed after all were chosen, so that they differ
		all = append(all, l.Addr().String())
	}
	return all, nil
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "eraft-demo-"); err != nil {
		return err
	}
	addresses, err := freeAddresses(9)
	if err != nil {
		return err
	}
	d.seeds, d.http, d.resp = addresses[:3], addresses[3:6], addresses[6:]
	began := time.Now()
	fmt.Println("starting three nodes in", d.dir)
	for i := range 3 {
		if err := d.start(i); err != nil {
			return err
		}
	}
	for i := range 3 {
		if err := d.ready(ctx, i); err != nil {
			return err
		}
	}
	fmt.Printf("ready after %v: RESP on %s\n", time.Since(began).Round(time.Millisecond), strings.Join(d.resp, " "))
	if d.c, err = client.Connect(ctx, client.Config{Seeds: d.seeds, Timeout: 10 * time.Second}); err != nil {
		return err
	}
	return d.show(ctx)
}

// show writes, reads, kills a node, continues, restarts the node, and checks every key.
func (d *demo) show(ctx context.Context) error {
	if _, err := d.write(ctx, 0, 500); err != nil {
		return err
	}
	fmt.Println("500 keys written, each fsynced on two disks before it was acknowledged")
	victim, err := d.busiest()
	if err != nil {
		return err
	}
	fmt.Printf("kill -9 n%d, which leads most groups\n", victim+1)
	if err := d.procs[victim].Process.Kill(); err != nil {
		return err
	}
	_ = d.procs[victim].Wait() // killed: the exit status says nothing else
	gap, err := d.write(ctx, 500, 1000)
	if err != nil {
		return err
	}
	fmt.Printf("500 more keys written meanwhile; the longest wait was %v\n", gap.Round(time.Millisecond))
	if err := d.check(ctx, 1000); err != nil {
		return err
	}
	fmt.Println("1000 of 1000 acknowledged keys read back from two nodes")
	if err := d.start(victim); err != nil {
		return err
	}
	if err := d.ready(ctx, victim); err != nil {
		return err
	}
	if err := d.caughtUp(ctx, victim); err != nil {
		return err
	}
	fmt.Printf("n%d is back and has caught up\n", victim+1)
	if err := d.check(ctx, 1000); err != nil {
		return err
	}
	fmt.Println("1000 of 1000 acknowledged keys read back. Nothing was lost.")
	return nil
}

func (d *demo) start(i int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(d.dir, fmt.Sprintf("n%d.log", i+1)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	d.procs[i] = exec.Command(self, "server", "--name", fmt.Sprintf("n%d", i+1), "--data", filepath.Join(d.dir, fmt.Sprintf("n%d", i+1)),
		"--listen", d.seeds[i], "--seeds", strings.Join(d.seeds, ","), "--expect", "3", "--resp", d.resp[i], "--http", d.http[i])
	d.procs[i].Stderr = log
	return d.procs[i].Start()
}

func fetch(url string) (int, []byte, error) {
	r, err := http.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, body, err
}

// until calls ask until it is true. If the context ends before, the error is what ask said last.
func until(ctx context.Context, ask func() (bool, string)) error {
	for {
		ok, last := ask()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up: %s", last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *demo) ready(ctx context.Context, i int) error {
	return until(ctx, func() (bool, string) {
		code, body, err := fetch("http://" + d.http[i] + "/readyz")
		return err == nil && code == http.StatusOK, fmt.Sprintf("n%d is not ready: %v %s\n%s", i+1, err, body, d.tail(i))
	})
}

// tail is the end of a node's log, for error texts.
func (d *demo) tail(i int) string {
	body, err := os.ReadFile(filepath.Join(d.dir, fmt.Sprintf("n%d.log", i+1)))
	if err != nil {
		return err.Error()
	}
	return string(body[max(0, len(body)-1000):])
}

func (d *demo) document(i int) (doc statusDocument, err error) {
	_, body, err := fetch("http://" + d.http[i] + "/api/v1/status")
	if err == nil {
		err = json.Unmarshal(body, &doc)
	}
	return doc, err
}

// busiest is the index of the node that leads most groups.
func (d *demo) busiest() (int, error) {
	doc, err := d.document(0)
	if err != nil {
		return 0, err
	}
	leads := map[uint64]int{}
	for _, g := range doc.Groups {
		leads[g.Leader]++
	}
	best := 0
	var id uint64
	for _, n := range doc.Nodes {
		if leads[n.ID] > best {
			best, id = leads[n.ID], n.ID
		}
	}
	for i := range d.seeds {
		for _, n := range doc.Nodes {
			if n.ID == id && n.Addr == d.seeds[i] {
				return i, nil
			}
		}
	}
	return 0, errors.New("no node leads anything")
}

// caughtUp waits until a node has applied every entry that was committed when the method was called.
func (d *demo) caughtUp(ctx context.Context, i int) error {
	want, err := d.document((i + 1) % 3)
	if err != nil {
		return err
	}
	return until(ctx, func() (bool, string) {
		have, err := d.document(i)
		if err != nil {
			return false, err.Error()
		}
		for _, w := range want.Groups {
			for _, h := range have.Groups {
				if h.ID == w.ID && h.Applied < w.Commit {
					return false, fmt.Sprintf("n%d is at %d of %d in group %d", i+1, h.Applied, w.Commit, w.ID)
				}
			}
		}
		return len(have.Groups) >= len(want.Groups), "groups are missing"
	})
}

func (d *demo) write(ctx context.Context, from, to int) (longest time.Duration, err error) {
	for k := from; k < to; k++ {
		began := time.Now()
		if _, err := d.c.Put(ctx, fmt.Appendf(nil, "demo/%d", k), fmt.Appendf(nil, "value of %d", k)); err != nil {
			return 0, fmt.Errorf("write key %d: %w", k, err)
		}
		longest = max(longest, time.Since(began))
	}
	return longest, nil
}

func (d *demo) check(ctx context.Context, keys int) error {
	for k := range keys {
		v, found, err := d.c.Get(ctx, fmt.Appendf(nil, "demo/%d", k))
		if err != nil {
			return fmt.Errorf("read key %d: %w", k, err)
		}
		if want := fmt.Sprintf("value of %d", k); !found || string(v.Data) != want {
			return fmt.Errorf("key %d was acknowledged as %q and is %q", k, want, v.Data)
		}
	}
	return nil
}

func (d *demo) cleanUp() error {
	var err error
	if d.c != nil {
		err = d.c.Close()
	}
	for _, p := range d.procs {
		if p != nil && p.ProcessState == nil {
			err = errors.Join(err, p.Process.Signal(os.Interrupt))
		}
	}
	for i, p := range d.procs {
		if p == nil || p.ProcessState != nil {
			continue
		}
		if waited := p.Wait(); waited != nil {
			err = errors.Join(err, fmt.Errorf("n%d: %w", i+1, waited))
		}
	}
	if d.dir == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}
