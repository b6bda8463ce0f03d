package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
	"github.com/eraft-io/eraft/meta/placement"
)

func adminCommands() []*cobra.Command {
	return []*cobra.Command{
		change("move BUCKET[-BUCKET] GROUP", "Assign buckets to a group and pin them there until a rebalance; a migration in progress can be reverted so", exactly(2, 2, "BUCKET[-BUCKET] GROUP"), move),
		change("join GROUP NODE[,NODE…]", "Add a group and assign it its share of buckets", exactly(2, 2, "GROUP NODES"), join),
		change("leave GROUP", "Assign a group's buckets to the other groups", exactly(1, 1, "GROUP"), leave),
		drainCommand(),
		change("undrain NODE", "Revoke a drain", exactly(1, 1, "NODE"), setNode(messages.NodeState_ACTIVE)),
		change("remove NODE", "Remove a dead node; its replicas are created on other nodes", exactly(1, 1, "NODE"), remove),
		rebalanceCommand(),
	}
}

// change makes a command that commits one config command.
func change(use, short string, args cobra.PositionalArgs, make func(*cobra.Command, *client.Client, []string) (*messages.MetaCommand, error)) *cobra.Command {
	version := uint64(0)
	c := remoteCommand(use, short, args, func(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
		command, err := make(c, cl, args)
		if err != nil {
			return err
		}
		command.IfVersion = version
		return r.changed(cl.Change(c.Context(), command))
	})
	c.Flags().Uint64Var(&version, "if-version", 0, "refuse if the config is not at this version any more: another command was first")
	return c
}

func number(what, text string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, usageError{fmt.Errorf("%s %q is not a number", what, text)}
	}
	return n, nil
}

func move(_ *cobra.Command, _ *client.Client, args []string) (*messages.MetaCommand, error) {
	low, high, ranged := strings.Cut(args[0], "-")
	if !ranged {
		high = low
	}
	first, err := number("bucket", low, 32)
	if err != nil {
		return nil, err
	}
	last, err := number("bucket", high, 32)
	if err != nil {
		return nil, err
	}
	group, err := number("group", args[1], 64)
	return &messages.MetaCommand{Op: &messages.MetaCommand_Move{
		Move: &messages.MoveBuckets{First: uint32(first), Last: uint32(last), Group: group},
	}}, err
}

func join(c *cobra.Command, cl *client.Client, args []string) (*messages.MetaCommand, error) {
	group, err := number("group", args[0], 64)
	if err != nil {
		return nil, err
	}
	g := &messages.NewGroup{Group: group}
	nodes, err := trimmedList("NODES", strings.Split(args[1], ","))
	if err != nil {
		return nil, usageError{err}
	}
	for _, text := range nodes {
		id, err := node(c, cl, text)
		if err != nil {
			return nil, err
		}
		g.Nodes = append(g.Nodes, id)
	}
	return &messages.MetaCommand{Op: &messages.MetaCommand_Join{Join: &messages.JoinGroups{Groups: []*messages.NewGroup{g}}}}, nil
}

func leave(_ *cobra.Command, _ *client.Client, args []string) (*messages.MetaCommand, error) {
	group, err := number("group", args[0], 64)
	return &messages.MetaCommand{Op: &messages.MetaCommand_Leave{Leave: &messages.LeaveGroup{Group: group}}}, err
}

func (r *remote) changed(config *messages.Config, err error) error {
	if err != nil {
		return err
	}
	if r.output == "json" {
		return printConfig(config)
	}
	fmt.Printf("config %d\n", config.GetVersion())
	return nil
}

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "config", Short: "Read the chain of configs",
		RunE: func(*cobra.Command, []string) error { return usageError{errors.New("needs log, show or diff")} },
	}
	c.AddCommand(
		remoteCommand("log", "List every version", exactly(0, 0, "no arguments"), configLog),
		remoteCommand("show [N]", "Print a version, or the newest", exactly(0, 1, "[VERSION]"), configShow),
		remoteCommand("diff A B", "Show the differences between two versions", exactly(2, 2, "two versions"), configDiff),
	)
	return c
}

func configLog(c *cobra.Command, cl *client.Client, r *remote, _ []string) error {
	all, err := cl.ConfigLog(c.Context(), 0, 0)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	for _, config := range all {
		if r.output == "json" {
			if err := printConfig(config); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", config.Version, time.UnixMilli(int64(config.TimeMs)).UTC().Format(time.RFC3339), cmp.Or(config.RequestedBy, "-"), config.Change)
	}
	return w.Flush()
}

func configShow(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	version := uint64(0)
	if len(args) == 1 {
		var err error
		if version, err = number("version", args[0], 64); err != nil {
			return err
		}
	}
	config, err := cl.Config(c.Context(), version)
	if err != nil {
		return err
	}
	if r.output == "json" {
		return printConfig(config)
	}
	fmt.Printf("config %d: %s\ncluster %016x, %d buckets\n", config.Version, config.Change, config.ClusterId, len(config.Owners))
	empty := &messages.Config{Owners: make([]uint64, len(config.Owners))}
	for _, line := range meta.Diff(empty, config) {
		fmt.Println(strings.TrimLeft(line, "+~ "))
	}
	if orphans := placement.Unowned(config); len(orphans) > 0 {
		fmt.Printf("%d buckets have no owner\n", len(orphans))
	}
	return nil
}

func configDiff(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	var configs [2]*messages.Config
	for i, arg := range args {
		version, err := number("version", arg, 64)
		if err != nil {
			return err
		}
		if configs[i], err = cl.Config(c.Context(), version); err != nil {
			return err
		}
	}
	lines := meta.Diff(configs[0], configs[1])
	if r.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(map[string][]string{"changes": append([]string{}, lines...)})
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	return nil
}
