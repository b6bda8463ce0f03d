package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The progress of a drain omits what is not known and what belongs to an earlier drain, and a revoked drain is not reported as complete.
func TestDrainProgress(t *testing.T) {
	for _, c := range []struct {
		name, drain string
		version     int
		text        string
		over        bool
		err         string
	}{
		{"not known", `{"percent":-1,"eta_seconds":-1}`, 7, " (n4): progress unknown: some leaders have not reported", false, ""},
		{"nothing moved yet", `{"percent":0,"eta_seconds":-1}`, 7, " (n4): 0 %", false, ""},
		{"on its way", `{"percent":50,"eta_seconds":90}`, 8, " (n4): 50 %, about 1m30s to go", false, ""},
		{"over", `{"percent":100,"eta_seconds":0}`, 7, " (n4): 100 %, can be stopped", true, ""},
		{"an earlier drain", `{"percent":100,"eta_seconds":0}`, 6, "", false, ""},
		{"not drained yet", `null`, 6, "", false, ""},
		{"taken back", `null`, 8, "", false, "does not drain any more"},
	} {
		body, d := `{"config_version":%d,"nodes":[{"id":3,"name":"n3"},{"id":4,"name":"n4","drain":%s}]}`, new(statusDocument)
		require.NoError(t, json.Unmarshal([]byte(fmt.Sprintf(body, c.version, c.drain)), d))
		text, over, err := d.drainProgress(4, 7)
		require.Equal(t, c.text, text, c.name)
		require.Equal(t, c.over, over, c.name)
		if c.err == "" {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorContains(t, err, c.err, c.name)
		}
	}
}
