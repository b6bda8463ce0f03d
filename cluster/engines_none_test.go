//go:build !cgo

package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A program without cgo has no engine of its own, and says so before it does anything.
func TestWithoutCgo(t *testing.T) {
	_, err := Start(t.Context(), Config{Name: "n1", Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	require.ErrorContains(t, err, "build it with CGO_ENABLED=1")
}
