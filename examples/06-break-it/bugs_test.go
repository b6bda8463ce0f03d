package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each bug still fits the code that it changes.
func TestEveryBugHasItsPlace(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	for name, b := range bugs {
		source, err := os.ReadFile(filepath.Join(root, b.file))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(source), b.old), "bug %s: %s must have %q once", name, b.file, b.old)
	}
}
