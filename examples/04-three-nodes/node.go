package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/eraft-io/eraft/cluster"
)

// serve is the process of one node. It runs until its standard input ends, which is when the program that started it has ended.
// The command line is the same for the first start and for every other one.
func serve(name, dir, listen, seeds string) error {
	n, err := cluster.Start(context.Background(), cluster.Config{
		Name: name, Dir: dir, Listen: listen, Seeds: strings.Split(seeds, ","), Expect: 3, Groups: 2, Buckets: 16,
	})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, n.Close(context.Background()), n.Err())
}

// process is a node as the program that starts it knows it.
type process struct {
	name, dir, listen string
	seeds             []string
	cmd               *exec.Cmd
	stdin             io.Closer
}

func (p *process) start() (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p.cmd = exec.Command(self, p.name, filepath.Join(p.dir, p.name), p.listen, strings.Join(p.seeds, ","))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	return p.cmd.Start()
}

// kill is kill -9: the process gets no chance to say or to write anything.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = p.cmd.Wait() // it was killed: that is all its exit status says
	p.cmd = nil
	return nil
}

// stop lets the node hand leadership over and end.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	if err := errors.Join(p.stdin.Close(), p.cmd.Wait()); err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	return nil
}
