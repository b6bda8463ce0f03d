package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/messages"
)

// versions are the versions of this binary and of what it is built with.
type versions struct {
	cluster.Build
	RocksDB string         `json:"rocksdb"`
	Level   messages.Level `json:"level"`
}

func versionCommand() *cobra.Command {
	output := "text"
	c := &cobra.Command{
		Use: "version", Short: "Print the version and commit of this binary, and what it was built with", Args: exactly(0, 0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return usageError{fmt.Errorf("--output is text or json, not %q", output)}
			}
			linked, err := cluster.RocksDBVersion()
			if err != nil {
				return err
			}
			v := versions{Build: cluster.BuildOf(), RocksDB: linked, Level: messages.NewestLevel}
			if output == "json" {
				return json.NewEncoder(os.Stdout).Encode(v)
			}
			_, err = fmt.Printf("eraft %s\ncommit %s\ngo %s\nrocksdb %s\nfeature level %d\n", v.Version, v.Commit, v.Go, v.RocksDB, v.Level)
			return err
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}
