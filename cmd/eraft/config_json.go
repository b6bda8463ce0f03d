package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// configView is a config as JSON. As in the status, ids and versions are numbers; names are text, and so is a number that does not
// fit into a JSON number.
type configView struct {
	*messages.Config
	ClusterID string     `json:"cluster_id"`
	Placement string     `json:"placement"`
	Nodes     []nodeView `json:"nodes"`
}

type nodeView struct {
	*messages.Node
	State          string `json:"state"`
	DirectoryToken string `json:"directory_token,omitempty"`
}

func viewOf(c *messages.Config) configView {
	v := configView{
		Config: c, ClusterID: fmt.Sprintf("%016x", c.GetClusterId()), Placement: strings.ToLower(c.GetPlacement().String()),
		Nodes: []nodeView{},
	}
	for _, n := range c.GetNodes() {
		v.Nodes = append(v.Nodes, nodeView{Node: n, State: strings.ToLower(n.GetState().String()), DirectoryToken: fmt.Sprintf("%016x", n.GetDirectoryToken())})
	}
	return v
}

func printConfig(config *messages.Config) error {
	return json.NewEncoder(os.Stdout).Encode(viewOf(config))
}
