// Command eraft is the whole of eRaft in one binary: server, client, administration, demo and bench.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/client"
)

// usageError is a mistake in how the command was called: exit code 2.
type usageError struct{ error }

func main() { os.Exit(run(os.Args[1:])) }

// run gives the exit code: 0 done, 1 refused or failed, 2 usage.
func run(args []string) int {
	root := &cobra.Command{
		Use: "eraft", Short: "A sharded, strongly consistent key-value store",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetArgs(args)
	root.AddCommand(serverCommand(), demoCommand(), benchCommand(), statusCommand(), configCommand(), simCommand(), forceCommand())
	root.AddCommand(dataCommands()...)
	root.AddCommand(adminCommands()...)
	called, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "eraft: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		fmt.Fprintf(os.Stderr, "try: %s --help\n", called.CommandPath())
		return 2
	}
	return 1
}

// exactly makes wrong numbers of arguments usage errors.
func exactly(low, high int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return usageError{fmt.Errorf("needs %s, got %d arguments", what, len(args))}
		}
		return nil
	}
}

// remote is what every command needs that talks to a cluster.
type remote struct {
	seeds   []string
	timeout time.Duration
	output  string
}

func (r *remote) flags(c *cobra.Command) *cobra.Command {
	c.Flags().StringSliceVar(&r.seeds, "seeds", nil, "host:port of any nodes of the cluster (or ERAFT_SEEDS)")
	c.Flags().DurationVar(&r.timeout, "timeout", 5*time.Second, "give up after")
	c.Flags().StringVarP(&r.output, "output", "o", "text", "text or json")
	return c
}

// dial makes the client without waiting for the cluster: mistakes in arguments are told before anybody is asked.
func (r *remote) dial() (*client.Client, error) {
	if r.output != "text" && r.output != "json" {
		return nil, usageError{fmt.Errorf("--output is text or json, not %q", r.output)}
	}
	if len(r.seeds) == 0 && os.Getenv("ERAFT_SEEDS") != "" {
		r.seeds = strings.Split(os.Getenv("ERAFT_SEEDS"), ",")
	}
	if len(r.seeds) == 0 {
		return nil, usageError{errors.New("no cluster is named: say --seeds host:port or set ERAFT_SEEDS")}
	}
	return client.Dial(client.Config{Seeds: r.seeds, Timeout: r.timeout})
}
