package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta"
)

// node gives the id of a node by its name or number.
func node(c *cobra.Command, cl *client.Client, text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 64)
	if err == nil {
		return id, nil
	}
	config, err := cl.Config(c.Context(), 0)
	if err != nil {
		return 0, err
	}
	if n := meta.NodeByName(config, text); n != nil {
		return n.Id, nil
	}
	return 0, fmt.Errorf("no node has the name %q: eraft status lists them", text)
}

func setNode(state messages.NodeState) func(*cobra.Command, *client.Client, []string) (*messages.MetaCommand, error) {
	return func(c *cobra.Command, cl *client.Client, args []string) (*messages.MetaCommand, error) {
		id, err := node(c, cl, args[0])
		return &messages.MetaCommand{Op: &messages.MetaCommand_SetNode{SetNode: &messages.SetNode{Node: id, State: state}}}, err
	}
}

func remove(c *cobra.Command, cl *client.Client, args []string) (*messages.MetaCommand, error) {
	id, err := node(c, cl, args[0])
	return &messages.MetaCommand{Op: &messages.MetaCommand_RemoveNode{RemoveNode: &messages.RemoveNode{Node: id}}}, err
}

func drainCommand() *cobra.Command {
	version, wait := uint64(0), time.Duration(0)
	c := remoteCommand("drain NODE", "Move leaders, replicas and buckets off a node, so that it can be removed", exactly(1, 1, "NODE"),
		func(c *cobra.Command, cl *client.Client, r *remote, args []string) error {
			command, err := setNode(messages.NodeState_DRAINING)(c, cl, args)
			if err != nil {
				return err
			}
			command.IfVersion = version
			config, err := cl.Change(c.Context(), command)
			if err != nil || wait == 0 {
				return r.changed(config, err)
			}
			ctx, cancel := context.WithTimeout(c.Context(), wait)
			defer cancel()
			return r.waitDrained(ctx, c, cl, command.GetSetNode().Node, config.GetVersion())
		})
	c.Flags().Uint64Var(&version, "if-version", 0, "refuse if the config is not at this version any more: another command was first")
	c.Flags().DurationVar(&wait, "wait", 0, "print the progress until the drain is complete, at most so long")
	return c
}

// waitDrained prints the progress of a drain until it is complete. version is the config version that began the drain.
func (r *remote) waitDrained(ctx context.Context, c *cobra.Command, cl *client.Client, id, version uint64) error {
	said := ""
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		d, err := r.readStatus(c, cl)
		if err == nil {
			text, over, gone := d.drainProgress(id, version)
			if text != "" && text != said {
				said = text
				fmt.Printf("node %d%s\n", id, text)
			}
			if over || gone != nil {
				return gone
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("node %d is not drained yet; the drain continues: eraft status shows its progress", id), err)
		}
	}
}

// drainProgress gives the progress of a drain as text, and whether it is complete; the error says that it was revoked. A node that
// does not have that config version yet gives nothing: what it says may be about an earlier drain.
func (d *statusDocument) drainProgress(id, version uint64) (text string, over bool, err error) {
	if d.ConfigVersion < version {
		return "", false, nil
	}
	for i, n := range d.Nodes {
		switch {
		case n.ID != id:
		case n.Drain != nil:
			return fmt.Sprintf(" (%s):%s", n.Name, d.drainText(i)), n.Drain.Percent == 100, nil
		default:
			return "", false, fmt.Errorf("node %d (%s) does not drain any more, another command has changed that: see eraft config log", id, n.Name)
		}
	}
	return "", false, nil
}

func rebalanceCommand() *cobra.Command {
	dry, pause, resume := false, false, false
	c := remoteCommand("rebalance", "Unpin buckets that were moved by hand, and run placement once if it is paused", exactly(0, 0, "no arguments"),
		func(c *cobra.Command, cl *client.Client, r *remote, _ []string) error {
			switch {
			case dry && pause || dry && resume || pause && resume:
				return usageError{errors.New("--dry-run, --pause and --resume exclude one another")}
			case dry:
				return r.plan(c, cl)
			case pause:
				return r.changed(cl.PausePlacement(c.Context()))
			case resume:
				return r.changed(cl.ResumePlacement(c.Context()))
			}
			return r.changed(cl.Rebalance(c.Context()))
		})
	c.Flags().BoolVar(&dry, "dry-run", false, "only print what it would do")
	c.Flags().BoolVar(&pause, "pause", false, "pause automatic placement: nothing is moved, repaired or drained")
	c.Flags().BoolVar(&resume, "resume", false, "end the pause")
	return c
}

// plan prints the steps that a rebalance would take, as meta's leader has computed them.
func (r *remote) plan(c *cobra.Command, cl *client.Client) error {
	d, err := r.readStatus(c, cl)
	if err != nil {
		return err
	}
	if !d.Placement.Known {
		return fmt.Errorf("node %s has no plan from meta's leader: try again", d.Node)
	}
	if r.output == "json" {
		return json.NewEncoder(os.Stdout).Encode(append([]step{}, d.Placement.Steps...))
	}
	if len(d.Placement.Steps) == 0 {
		fmt.Println("nothing to do")
	}
	return printSteps(d.Placement.Steps)
}
