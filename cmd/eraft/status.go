package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/client"
)

// statusPatience is how long one node is asked before the next one is.
const statusPatience = 2 * time.Second

func status(c *cobra.Command, cl *client.Client, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(c.Context(), statusPatience)
	defer cancel()
	return cl.Status(ctx, address)
}
