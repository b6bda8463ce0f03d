package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster"
)

// statusDocument is the part of /api/v1/status that is printed as tables.
type statusDocument struct {
	Node          string   `json:"node"`
	ConfigVersion uint64   `json:"config_version"`
	Ready         bool     `json:"ready"`
	Waiting       []string `json:"waiting_for"`
	Nodes         []struct {
		ID                uint64
		Name, Addr, State string
		Labels            []string
		Drain             *struct {
			Percent    int
			ETASeconds int64 `json:"eta_seconds"`
		}
	} `json:"nodes"`
	Groups []struct {
		ID, Leader, Term, Commit, Applied uint64
		Replicas                          []uint64
		Bytes                             *uint64
	} `json:"groups"`
	Buckets struct {
		Count      int
		Moving     []uint32
		Owners     []uint64
		Migrations []cluster.MigrationStatus `json:"migrations"`
	} `json:"buckets"`
	Level struct {
		Cluster, Node uint32
		Waiting       []string
	} `json:"level"`
	Placement struct {
		Mode   string
		Known  bool
		Idle   bool
		Pinned []uint32
		Steps  []step
	} `json:"placement"`
}

func statusCommand() *cobra.Command {
	return remoteCommand("status", "Show the state of the cluster", exactly(0, 0, "no arguments"),
		func(c *cobra.Command, cl *client.Client, r *remote, _ []string) error {
			body, err := r.status(c, cl)
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
	var d statusDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return fmt.Errorf("status cannot be read: %w", err)
	}
	fmt.Printf("seen by %s: config %d, ready %v, %d buckets, %d moving\n", d.Node, d.ConfigVersion, d.Ready, d.Buckets.Count, len(d.Buckets.Moving))
	if len(d.Waiting) > 0 {
		fmt.Println("belongs to no cluster yet, no reply from", strings.Join(d.Waiting, ", "))
	}
	fmt.Println("feature level:", d.featureLevel())
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tNAME\tADDRESS\tSTATE\tLABELS")
	for i, n := range d.Nodes {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s%s\t%s\n", n.ID, n.Name, n.Addr, n.State, d.drainText(i), strings.Join(n.Labels, ","))
	}
	owned := map[uint64]int{}
	for _, owner := range d.Buckets.Owners {
		owned[owner]++
	}
	fmt.Fprintln(w, "GROUP\tLEADER\tTERM\tCOMMIT\tAPPLIED\tREPLICAS\tBUCKETS\tBYTES")
	for _, g := range d.Groups {
		if len(g.Replicas) > 0 {
			bytes := ""
			if g.Bytes != nil {
				bytes = fmt.Sprint(*g.Bytes)
			}
			fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%v\t%d\t%s\n", g.ID, g.Leader, g.Term, g.Commit, g.Applied, g.Replicas, owned[g.ID], bytes)
		}
	}
	if len(d.Buckets.Migrations) > 0 {
		fmt.Fprintln(w, "BUCKET\tGROUP\tSTATE\tOTHER GROUP\tCHUNKS\tBYTES\tBACKLOG")
	}
	for _, h := range d.Buckets.Migrations {
		fmt.Fprintf(w, "%d\t%d\t%s\t%d\t%d\t%d\t%d\n", h.Bucket, h.Group, h.State, h.Other, h.Chunks, h.Bytes, h.BacklogBytes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return d.printPlacement()
}

// featureLevel is the cluster's feature level, and which nodes hold a higher one back.
func (d *statusDocument) featureLevel() string {
	text := fmt.Sprint(d.Level.Cluster)
	if d.Level.Node > d.Level.Cluster {
		text += fmt.Sprintf(", %d when all nodes have it", d.Level.Node)
		if len(d.Level.Waiting) > 0 {
			text += ": " + strings.Join(d.Level.Waiting, ", ")
		}
	}
	return text
}

// drainText is the progress of a node's drain; "": it does not drain.
func (d *statusDocument) drainText(i int) string {
	drain := d.Nodes[i].Drain
	switch {
	case drain == nil:
		return ""
	case drain.Percent < 0:
		return " progress unknown: some leaders have not reported"
	case drain.Percent == 100:
		return " 100 %, can be stopped"
	case drain.ETASeconds < 0:
		return fmt.Sprintf(" %d %%", drain.Percent)
	}
	return fmt.Sprintf(" %d %%, about %v to go", drain.Percent, time.Duration(drain.ETASeconds)*time.Second)
}

func (d *statusDocument) printPlacement() error {
	text := d.Placement.Mode
	if n := len(d.Placement.Pinned); n > 0 {
		text += fmt.Sprintf(", %d buckets pinned by hand", n)
	}
	switch {
	case !d.Placement.Known:
		text += ", meta's leader has not reported"
	case len(d.Placement.Steps) == 0:
		text += ", complete"
	case d.Placement.Idle:
		text += ", stable; a rebalance would do this:"
	}
	fmt.Println("placement:", text)
	return printSteps(d.Placement.Steps)
}

// step is a step of the placement plan.
type step struct {
	What string `json:"what"`
	From string `json:"from"`
	To   string `json:"to"`
	Why  string `json:"why"`
}

func printSteps(steps []step) error {
	if len(steps) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tFROM\tTO\tWHY")
	for _, s := range steps {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.What, s.From, s.To, s.Why)
	}
	return w.Flush()
}

const (
	statusTimeout = 2 * time.Second        // for all seeds together
	statusStagger = 100 * time.Millisecond // after which the next one is asked as well
)

// status asks the seeds one after the other, without waiting long for a silent one, and gives the first status document.
func (r *remote) status(c *cobra.Command, cl *client.Client) ([]byte, error) {
	ctx, cancel := context.WithTimeout(c.Context(), statusTimeout)
	defer cancel()
	return firstOf(ctx, r.seeds, statusStagger, cl.Status)
}

// firstOf calls ask for one seed after the other, the next one when one has failed or stagger has passed. It gives the first result,
// or all errors.
func firstOf(ctx context.Context, seeds []string, stagger time.Duration, ask func(context.Context, string) ([]byte, error)) ([]byte, error) {
	type answer struct {
		body []byte
		err  error
	}
	answers, asked, failed := make(chan answer, len(seeds)), 0, []error(nil)
	for len(failed) < len(seeds) {
		next := (<-chan time.Time)(nil)
		switch {
		case asked == len(failed):
			next = time.After(0)
		case asked < len(seeds):
			next = time.After(stagger)
		}
		select {
		case a := <-answers:
			if a.err == nil {
				return a.body, nil
			}
			failed = append(failed, a.err)
		case <-next:
			seed := seeds[asked]
			asked++
			go func() {
				body, err := ask(ctx, seed)
				answers <- answer{body, err}
			}()
		}
	}
	return nil, errors.Join(failed...)
}

// readStatus gets and parses the status document.
func (r *remote) readStatus(c *cobra.Command, cl *client.Client) (*statusDocument, error) {
	body, err := r.status(c, cl)
	if err != nil {
		return nil, err
	}
	d := new(statusDocument)
	if err := json.Unmarshal(body, d); err != nil {
		return nil, fmt.Errorf("status cannot be read: %w", err)
	}
	return d, nil
}
