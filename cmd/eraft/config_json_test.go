package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

func TestConfigAsJSON(t *testing.T) {
	body, err := json.Marshal(viewOf(&messages.Config{
		Version: 7, ClusterId: 1 << 63, Owners: []uint64{1, 2}, Placement: messages.Placement_PAUSED,
		Nodes: []*messages.Node{{Id: 1, Name: "n1", Address: "h:1", DirectoryToken: 1<<63 + 1}},
	}))
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(body, &got))
	require.Equal(t, map[string]any{
		"version": 7.0, "cluster_id": "8000000000000000", "owners": []any{1.0, 2.0}, "placement": "paused",
		"nodes": []any{map[string]any{"id": 1.0, "name": "n1", "address": "h:1", "state": "active", "directory_token": "8000000000000001"}},
	}, got)
}
