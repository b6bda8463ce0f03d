package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/eraft-io/eraft/client"
)

// found is one line of scan's JSON output. Bytes that are not UTF-8 are base64.
type found struct {
	Key         string `json:"key,omitempty"`
	KeyBase64   []byte `json:"key_base64,omitempty"`
	Value       string `json:"value"`
	ValueBase64 []byte `json:"value_base64,omitempty"`
	Version     uint64 `json:"version"`
}

func scanCommand() *cobra.Command {
	prefix, match, limit := "", "", 0
	c := remoteCommand("scan", "Print keys and values: bucket after bucket, in key order within each", exactly(0, 0, "no arguments"),
		func(c *cobra.Command, cl *client.Client, r *remote, _ []string) error {
			if limit < 0 {
				return usageError{fmt.Errorf("--limit %d is negative", limit)}
			}
			n := 0
			for item, err := range cl.Scan(c.Context(), client.ScanOptions{Prefix: []byte(prefix), Match: []byte(match), PageSize: limit}) {
				if err != nil {
					return err
				}
				if err := r.printItem(item); err != nil {
					return err
				}
				if n++; n == limit {
					break
				}
			}
			return nil
		})
	c.Flags().StringVar(&prefix, "prefix", "", "only keys that start with this")
	c.Flags().StringVar(&match, "match", "", "only keys that match this pattern: * ? [a-z]")
	c.Flags().IntVar(&limit, "limit", 0, "stop after so many keys; 0: all")
	return c
}

func (r *remote) printItem(item client.Item) error {
	if r.output != "json" {
		_, err := fmt.Printf("%s\t%s\n", printable(item.Key), printable(item.Value))
		return err
	}
	line := found{Version: item.Version}
	if utf8.Valid(item.Key) {
		line.Key = string(item.Key)
	} else {
		line.KeyBase64 = item.Key
	}
	if utf8.Valid(item.Value) {
		line.Value = string(item.Value)
	} else {
		line.ValueBase64 = item.Value
	}
	return json.NewEncoder(os.Stdout).Encode(line)
}

// printable is the text itself, or quoted if it would disturb a terminal or the line structure.
func printable(b []byte) string {
	if quoted := strconv.Quote(string(b)); quoted != `"`+string(b)+`"` {
		return quoted
	}
	return string(b)
}
