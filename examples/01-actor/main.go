// Command 01-actor shows the three properties of actors that eRaft is built on: state with one owner and no lock, a
// mailbox that is drained in batches, and a failure that must not bring an actor back with an empty memory.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "01-actor:", err)
		os.Exit(1)
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "eraft-actor")
	if err != nil {
		return err
	}
	stopped := make(chan error, 1) // what a node does here is to stop
	system, err := actors.NewSystem(actors.Env{
		Clock:  actors.NewSystemClock(),
		Rand:   actors.SeededRand(1),
		Events: func(e actors.Event) { fmt.Printf("   event %q: %+v\n", e.EventName(), e) },
		Fatal:  func(err error) { stopped <- err },
	}, loopback{})
	if err != nil {
		return err
	}
	return errors.Join(countTogether(system), syncTogether(system, dir), fail(system, stopped), os.RemoveAll(dir))
}

// loopback is a network with one system on it.
type loopback struct{}

func (loopback) Attach(s *actors.System) error { s.ProcessRegistry.Address = "n1"; return nil }
func (loopback) Detach() error                 { return nil }

// countTogether lets four goroutines send to one counter.
func countTogether(system *actors.System) error {
	fmt.Println("1. State with one owner. Four senders, one counter, no lock:")
	pid, err := system.Spawn("counter", func() actor.Actor { return new(counter) })
	if err != nil {
		return err
	}
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for range 1000 {
				system.Root.Send(pid, add{1})
			}
		})
	}
	senders.Wait()
	total, err := ask(system, pid)
	fmt.Println("   total:", total)
	return err
}

// syncTogether lets 20 writers write 10 lines each, one after the other, through two journals that differ only in their mailbox.
func syncTogether(system *actors.System, dir string) error {
	fmt.Println("2. A mailbox drained in batches. 20 writers, 10 lines each, a line is acknowledged after an fsync:")
	for i, j := range []struct {
		what    string
		options []actors.Option
	}{
		{"one message per Receive", nil},
		{"all waiting messages per Receive", []actors.Option{actors.Batching(actors.MailboxBound{}, nil)}},
	} {
		name := fmt.Sprintf("journal-%d", i+1)
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		journal := &journal{file: file}
		pid, err := system.Spawn(name, func() actor.Actor { return journal }, j.options...)
		if err != nil {
			return err
		}
		results := make(chan error, 20)
		for w := range 20 {
			go func() { results <- write(system, pid, w) }()
		}
		for range 20 {
			err = errors.Join(err, <-results)
		}
		if err := errors.Join(err, system.Root.StopFuture(pid).Wait(), file.Close()); err != nil {
			return err
		}
		fmt.Printf("   %-33s %3d syncs\n", j.what+":", journal.syncs)
	}
	return nil
}

// write is one writer: each of its lines waits until the one before is on the disk.
func write(system *actors.System, journal *actor.PID, writer int) error {
	for i := range 10 {
		written := make(chan error, 1)
		system.Root.Send(journal, line{text: fmt.Sprintf("writer %d, line %d\n", writer, i), written: written})
		if err := <-written; err != nil {
			return err
		}
	}
	return nil
}

// fail lets an actor panic that may be started again, and one that must not be.
func fail(system *actors.System, stopped <-chan error) error {
	fmt.Println("3. Failure. A plain actor comes back with an empty memory:")
	plain := actor.NewPID(system.Address(), "counter")
	system.Root.Send(plain, broken{})
	total, err := ask(system, plain)
	if err != nil {
		return err
	}
	fmt.Println("   total:", total)

	fmt.Println("   A Raft replica must not: it could vote twice. A durable actor that fails stops the node:")
	durable, err := system.Spawn("durable", func() actor.Actor { return new(counter) }, actors.Durable())
	if err != nil {
		return err
	}
	system.Root.Send(durable, broken{})
	select {
	case err := <-stopped:
		fmt.Println("   the node stops:", err)
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("the node did not stop")
	}
}

func ask(system *actors.System, pid *actor.PID) (any, error) {
	return system.Root.RequestFuture(pid, get{}, 10*time.Second).Result()
}
