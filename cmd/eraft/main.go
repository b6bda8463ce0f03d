// Command eraft is all of eRaft in one binary: server, client, administration, demo and bench.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/messages"
)

// usageError is a mistake in how the command was called: exit code 2.
type usageError struct{ error }

func main() { os.Exit(run(os.Args[1:])) }

// The exit codes tell scripts what to do next without reading the text.
const (
	exitDone        = 0
	exitFailed      = 1 // refused or failed: the text says why
	exitUsage       = 2 // the command was called wrongly, and nothing was sent
	exitAbsent      = 3 // the key is absent
	exitConflict    = 4 // a condition did not hold, and nothing was changed
	exitUnavailable = 5 // try again later; a write may have been applied if the text says UNCERTAIN
)

const exitHelp = `Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 key not found; 4 conflict, nothing was changed;
5 unavailable or uncertain, try again later (what was to be written may have been, if the text says UNCERTAIN).`

// commands is the command line of eraft.
func commands() *cobra.Command {
	root := &cobra.Command{
		Use: "eraft", Short: "A sharded, strongly consistent key-value store", Long: "A sharded, strongly consistent key-value store.\n\n" + exitHelp,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serverCommand(), demoCommand(), benchCommand(), statusCommand(), configCommand(), simCommand(), forceCommand(), versionCommand())
	root.AddCommand(dataCommands()...)
	root.AddCommand(adminCommands()...)
	return root
}

// run executes a command line, and gives the exit code.
func run(args []string) int {
	root := commands()
	root.SetArgs(numbersAreArguments(root, args))
	called, err := root.ExecuteC()
	if err == nil {
		return exitDone
	}
	printError(fmt.Sprintf("eraft: %v\n", err))
	code := exitCode(err)
	if code == exitUsage {
		printError(fmt.Sprintf("try: %s --help\n", called.CommandPath()))
	}
	return code
}

func exitCode(err error) int {
	switch {
	case errors.As(err, new(usageError)) || strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.Is(err, errAbsent):
		return exitAbsent
	case errors.Is(err, context.DeadlineExceeded):
		return exitUnavailable
	}
	switch messages.CodeOf(err) {
	case messages.Code_CONFLICT:
		return exitConflict
	case messages.Code_UNAVAILABLE, messages.Code_UNCERTAIN, messages.Code_OVERLOADED, messages.Code_NOT_LEADER, messages.Code_WRONG_GROUP,
		messages.Code_EXPIRED:
		return exitUnavailable
	}
	return exitFailed
}

// numbersAreArguments makes negative numbers among the arguments of data commands arguments, not flags: it moves the flags to the
// front, and puts "--", which ends flags, behind them.
func numbersAreArguments(root *cobra.Command, args []string) []string {
	c, rest, err := root.Find(args)
	if err != nil || c.Annotations[takesNumbers] == "" || !slices.ContainsFunc(rest, negative) {
		return args
	}
	front, back := []string{c.Name()}, []string{"--"}
	for i := 0; i < len(rest); i++ {
		switch arg := rest[i]; {
		case arg == "--":
			return slices.Concat(front, back, rest[i+1:])
		case len(arg) < 2 || arg[0] != '-' || negative(arg):
			back = append(back, arg)
		default:
			front = append(front, arg)
			if i+1 < len(rest) && takesValue(c.Flags(), arg) {
				i++
				front = append(front, rest[i])
			}
		}
	}
	return slices.Concat(front, back)
}

// takesNumbers marks commands whose arguments may be negative numbers.
const takesNumbers = "numbers"

func negative(arg string) bool {
	_, err := strconv.ParseFloat(arg, 64)
	return err == nil && arg[0] == '-'
}

// takesValue reports whether the argument behind a flag is its value.
func takesValue(flags *pflag.FlagSet, arg string) bool {
	name, isLong := strings.CutPrefix(arg, "--")
	if !isLong {
		return len(arg) == 2 && flags.ShorthandLookup(arg[1:]) != nil && flags.ShorthandLookup(arg[1:]).NoOptDefVal == ""
	}
	f := flags.Lookup(name)
	return f != nil && f.NoOptDefVal == ""
}

// exactly makes a wrong number of arguments a usage error.
func exactly(low, high int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return usageError{fmt.Errorf("needs %s, got %d arguments", what, len(args))}
		}
		return nil
	}
}

// remote is the flags of every command that talks to a cluster.
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

// dial makes the client without waiting for the cluster: mistakes in arguments are reported before anything is sent.
func (r *remote) dial() (*client.Client, error) {
	if r.output != "text" && r.output != "json" {
		return nil, usageError{fmt.Errorf("--output is text or json, not %q", r.output)}
	}
	seeds, err := resolveSeeds("seeds", r.seeds)
	if err != nil {
		return nil, err
	}
	r.seeds = seeds
	return client.Dial(client.Config{Seeds: r.seeds, Timeout: r.timeout, Author: author()})
}

// author is the user and host of a command, for the config chain.
func author() string {
	name, host := os.Getenv("USER"), ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = "@" + h
	}
	if name += host; len(name) > messages.MaxNameBytes {
		return name[:messages.MaxNameBytes]
	}
	return name
}
