package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
)

func adminCommands() []*cobra.Command {
	dry := false
	rebalance := data("rebalance", "Even out buckets over groups with the fewest moves", exactly(0, 0, "no arguments"),
		func(c *cobra.Command, cl *client.Client, r *remote, _ []string) error {
			if !dry {
				return r.changed(cl.Rebalance(c.Context()))
			}
			moves, err := cl.Plan(c.Context())
			if err != nil {
				return err
			}
			return r.moves(moves)
		})
	rebalance.Flags().BoolVar(&dry, "dry-run", false, "only print what would move")
	return []*cobra.Command{
		data("move BUCKET[-BUCKET] GROUP", "Give buckets to a group", exactly(2, 2, "BUCKET[-BUCKET] GROUP"), move),
		data("join GROUP NODE[,NODE…]", "Add a group and give it its share of buckets", exactly(2, 2, "GROUP NODES"), join),
		data("leave GROUP", "Give a group's buckets to the others", exactly(1, 1, "GROUP"), leave),
		rebalance,
	}
}

func number(what, text string, bits int) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, usageError{fmt.Errorf("%s %q is not a number", what, text)}
	}
	return n, nil
}

func move(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	low, high, ranged := strings.Cut(args[0], "-")
	if !ranged {
		high = low
	}
	first, err := number("bucket", low, 32)
	if err != nil {
		return err
	}
	last, err := number("bucket", high, 32)
	if err != nil {
		return err
	}
	group, err := number("group", args[1], 64)
	if err != nil {
		return err
	}
	return r.changed(cl.Move(c.Context(), uint32(first), uint32(last), group))
}

func join(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	group, err := number("group", args[0], 64)
	if err != nil {
		return err
	}
	var nodes []uint64
	for _, text := range strings.Split(args[1], ",") {
		node, err := number("node", text, 64)
		if err != nil {
			return err
		}
		nodes = append(nodes, node)
	}
	return r.changed(cl.JoinGroup(c.Context(), group, nodes))
}

func leave(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
	group, err := number("group", args[0], 64)
	if err != nil {
		return err
	}
	return r.changed(cl.LeaveGroup(c.Context(), group))
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

func (r *remote) moves(moves []*messages.BucketMove) error {
	if r.output == "json" {
		if moves == nil {
			moves = []*messages.BucketMove{}
		}
		return json.NewEncoder(os.Stdout).Encode(moves)
	}
	if len(moves) == 0 {
		fmt.Println("nothing to move")
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	for _, m := range moves {
		fmt.Fprintf(w, "bucket %d\tgroup %d\t-> %d\n", m.Bucket, m.From, m.To)
	}
	return w.Flush()
}

func printConfig(config *messages.Config) error {
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(config)
	if err != nil {
		return err
	}
	fmt.Println(string(body))
	return nil
}

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "config", Short: "Read the chain of configs",
		RunE: func(*cobra.Command, []string) error { return usageError{errors.New("needs log, show or diff")} },
	}
	c.AddCommand(
		data("log", "List every version", exactly(0, 0, "no arguments"), configLog),
		data("show [N]", "Print a version, or the newest", exactly(0, 1, "[VERSION]"), configShow),
		data("diff A B", "Say what differs between two versions", exactly(2, 2, "two versions"), configDiff),
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
		fmt.Fprintf(w, "%d\t%s\t%s\n", config.Version, time.UnixMilli(int64(config.TimeMs)).UTC().Format(time.RFC3339), config.Change)
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
	if orphans := meta.Orphans(config); len(orphans) > 0 {
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

// document is the part of /api/v1/status that is printed as tables.
type document struct {
	Node          string   `json:"node"`
	ConfigVersion uint64   `json:"config_version"`
	Ready         bool     `json:"ready"`
	Waiting       []string `json:"waiting_for"`
	Nodes         []struct {
		ID                uint64
		Name, Addr, State string
	} `json:"nodes"`
	Groups []struct {
		ID, Leader, Term, Commit, Applied uint64
		Replicas                          []uint64
	} `json:"groups"`
	Buckets struct {
		Count  int
		Moving []uint32
	} `json:"buckets"`
}

func statusCommand() *cobra.Command {
	return data("status", "Show how the cluster is", exactly(0, 0, "no arguments"),
		func(c *cobra.Command, cl *client.Client, r *remote, _ []string) error {
			var body []byte
			var err error
			for _, seed := range r.seeds {
				if body, err = status(c, cl, seed); err == nil {
					break
				}
			}
			if err != nil {
				return err
			}
			if r.output == "json" {
				_, err := os.Stdout.Write(body)
				return err
			}
			return printStatus(body)
		})
}

func printStatus(body []byte) error {
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return fmt.Errorf("status cannot be read: %w", err)
	}
	fmt.Printf("seen by %s: config %d, ready %v, %d buckets, %d moving\n", d.Node, d.ConfigVersion, d.Ready, d.Buckets.Count, len(d.Buckets.Moving))
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tNAME\tADDRESS\tSTATE")
	for _, n := range d.Nodes {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", n.ID, n.Name, n.Addr, n.State)
	}
	fmt.Fprintln(w, "GROUP\tLEADER\tTERM\tCOMMIT\tAPPLIED\tREPLICAS")
	for _, g := range d.Groups {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%v\n", g.ID, g.Leader, g.Term, g.Commit, g.Applied, g.Replicas)
	}
	return w.Flush()
}
