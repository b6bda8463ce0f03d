package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster/clustertest"
)

const accounts = 5

func account(n int) []byte { return fmt.Appendf(nil, "{bank}/%d", n) }

// transfer moves an amount between two accounts, unless somebody else writes them meanwhile. It is what a user's program is: it
// knows nothing of simulations.
func transfer(ctx context.Context, c *client.Client, from, to, amount int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	held, err := c.GetMany(ctx, account(from), account(to))
	if err != nil {
		return err
	}
	left, _ := strconv.Atoi(string(held[0].Data))
	right, _ := strconv.Atoi(string(held[1].Data))
	_, err = c.Txn().If(client.VersionIs(account(from), held[0].Version), client.VersionIs(account(to), held[1].Version)).
		Put(account(from), strconv.AppendInt(nil, int64(left-amount), 10)).
		Put(account(to), strconv.AppendInt(nil, int64(right+amount), 10)).Commit(ctx)
	return err
}

// sum reads all accounts at different moments; nobody must write meanwhile.
func sum(ctx context.Context, c *client.Client) (sum, found int, err error) {
	for item, err := range c.Scan(ctx, client.ScanOptions{Prefix: []byte("{bank}/")}) {
		if err != nil {
			return 0, 0, err
		}
		n, err := strconv.Atoi(string(item.Value))
		if err != nil {
			return 0, 0, err
		}
		sum, found = sum+n, found+1
	}
	return sum, found, nil
}

// bank lets several programs transfer money while faults have their way, and gives what each of them saw.
func bank(t *testing.T, seed uint64) (hash uint64, seen string) {
	s := startCluster(t, seed, clustertest.Options{Groups: 2})
	until := s.Now() + 10*time.Second
	s.Swarm(until)
	for teller := range 4 {
		s.Go(fmt.Sprint("teller", teller), func(ctx context.Context, c *client.Client) error {
			for n := 0; s.Now() < until+5*time.Second; n++ {
				err := transfer(ctx, c, (teller+n)%accounts, (teller+n+1+n%(accounts-1))%accounts, n)
				seen += fmt.Sprintln(s.Now(), teller, err)
				clustertest.Sleep(ctx, 20*time.Millisecond)
			}
			return nil
		})
	}
	s.RunUntil(func() bool { return s.Now() >= until }, time.Minute)
	s.Heal()
	require.NoError(t, s.Finish(time.Minute))
	s.Go("auditor", func(ctx context.Context, c *client.Client) error {
		total, found, err := sum(ctx, c)
		seen += fmt.Sprintln(total, found)
		if total != 0 {
			return fmt.Errorf("%d are there that nobody has brought", total)
		}
		return errors.Join(err, c.Close())
	})
	require.NoError(t, s.Finish(time.Minute))
	require.Empty(t, s.Oracle.Violations)
	return s.Journal().Hash(), seen
}

// A user's code is a part of the seed, with everything that it sees.
func TestProgramsAreDeterministic(t *testing.T) {
	hashes := map[uint64]bool{}
	for seed := range uint64(4) {
		hash, seen := bank(t, seed+1)
		again, seenAgain := bank(t, seed+1)
		require.Equal(t, seen, seenAgain, "seed %d", seed+1)
		require.Equal(t, hash, again, "seed %d", seed+1)
		require.Contains(t, seen, "<nil>", "some transfers succeed")
		hashes[hash] = true
	}
	require.Len(t, hashes, 4)
}

// Deadlines of contexts, however they are made, count in virtual time.
func TestDeadlinesOfProgramsAreVirtual(t *testing.T) {
	s := startCluster(t, 1, clustertest.Options{})
	s.Go("p", func(ctx context.Context, c *client.Client) error {
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err := c.Put(short, []byte("k"), []byte("v"))
		require.NoError(t, err)
		clustertest.Sleep(ctx, 200*time.Millisecond)
		_, _, err = c.Get(short, []byte("k"))
		require.NoError(t, err)
		clustertest.Sleep(ctx, 200*time.Millisecond)
		_, _, err = c.Get(short, []byte("k"))
		require.ErrorIs(t, err, context.DeadlineExceeded)

		s.Network().Cut("n1:1", "p:1")
		s.Network().Cut("n2:1", "p:1")
		s.Network().Cut("n3:1", "p:1")
		hour, cancel := context.WithTimeout(ctx, 10*time.Second)
		began := s.Now()
		_, err = c.Put(hour, []byte("k"), []byte("w"))
		require.ErrorIs(t, err, client.ErrUncertain)
		require.InDelta(t, 10*time.Second, s.Now()-began, float64(100*time.Millisecond))
		_, err = c.Status(hour, "n1:1")
		require.ErrorIs(t, err, client.ErrUnavailable)
		cancel()
		_, err = c.Put(hour, []byte("k"), []byte("w"))
		require.ErrorIs(t, err, context.Canceled)
		s.Network().Heal()
		status, err := c.Status(ctx, "n1:1")
		require.Contains(t, string(status), `"node":"n1"`)
		return err
	})
	require.NoError(t, s.Finish(time.Minute))
}

// recording is a test that keeps what it is told.
type recording struct {
	*testing.T
	errors []string
	ends   []func()
}

func (r *recording) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recording) Logf(string, ...any) {}
func (r *recording) Failed() bool        { return false }
func (r *recording) FailNow()            { panic("failed") }
func (r *recording) Cleanup(f func())    { r.ends = append(r.ends, f) }

func (r *recording) end() {
	for i := len(r.ends) - 1; i >= 0; i-- {
		r.ends[i]()
	}
}

// What a program must not do fails the test with a sentence.
func TestProgramsThatFail(t *testing.T) {
	for says, program := range map[string]func(context.Context, *client.Client) error{
		"a goroutine that program p has started waits for the World": func(ctx context.Context, c *client.Client) error {
			done := make(chan error)
			go func() { _, err := c.Put(ctx, []byte("k"), []byte("v")); done <- err }()
			return <-done
		},
		"program p panicked: told to": func(context.Context, *client.Client) error { panic("told to") },
	} {
		r := &recording{T: t}
		s := clustertest.Sim(r, 1, clustertest.Options{})
		require.True(t, s.RunUntil(s.Ready, time.Minute))
		s.Go("p", program)
		require.PanicsWithValue(t, "failed", func() { _ = s.Finish(time.Minute) })
		r.end()
		require.Contains(t, r.errors[0], says)
	}
}

// exits is a test that ends as a testing.T does.
type exits struct{ recording }

func (e *exits) FailNow() { runtime.Goexit() }

// A program may end the test, as require does, and everything is unwound.
func TestProgramsMayEndTheTest(t *testing.T) {
	e := &exits{recording{T: t}}
	unwound, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		defer e.end()
		s := clustertest.Sim(e, 1, clustertest.Options{})
		s.Go("waits", func(ctx context.Context, c *client.Client) error {
			defer func() { unwound++ }()
			clustertest.Sleep(ctx, time.Hour)
			return nil
		})
		s.Go("fails", func(ctx context.Context, c *client.Client) error {
			defer func() { unwound++ }()
			clustertest.Sleep(ctx, time.Second)
			require.Equal(e, 1, 2)
			return nil
		})
		_ = s.Finish(time.Minute)
		unwound = -1
	}()
	<-ended
	require.Equal(t, 2, unwound)
	require.Len(t, e.errors, 1)
	require.Contains(t, e.errors[0], "Not equal")
}

// A program that is not over is named, and is unwound with the test.
func TestProgramsEndWithTheTest(t *testing.T) {
	r := &recording{T: t}
	s := clustertest.Sim(r, 1, clustertest.Options{})
	unwound := false
	s.Go("endless", func(ctx context.Context, c *client.Client) error {
		defer func() { unwound = true }()
		for {
			clustertest.Sleep(ctx, time.Second)
		}
	})
	s.Go("short", func(context.Context, *client.Client) error { return errors.New("no reason") })
	err := s.Finish(time.Minute)
	require.ErrorContains(t, err, "program endless is not over after 1m0s")
	require.ErrorContains(t, err, "program short: no reason")
	require.False(t, unwound)
	r.end()
	require.True(t, unwound)
	require.Empty(t, r.errors)
}
