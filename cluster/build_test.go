package cluster

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuild(t *testing.T) {
	settings := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: modified}}
	}
	own, other := debug.Module{Path: module, Version: "v1.2.3"}, debug.Module{Path: "example.com/shop", Version: "v9.9.9"}
	require.Equal(t, Build{"v1.2.3", "abc", "go1.26"}, buildOf(&debug.BuildInfo{GoVersion: "go1.26", Main: own, Settings: settings("false")}))
	require.Equal(t, Build{"(devel)", "abc+changed", "go1.26"},
		buildOf(&debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Path: module}, Settings: settings("true")}))
	require.Equal(t, Build{"v1.2.3", "unknown", "go1.26"},
		buildOf(&debug.BuildInfo{GoVersion: "go1.26", Main: other, Deps: []*debug.Module{&other, &own}, Settings: settings("true")}))
	require.NotEmpty(t, BuildOf().Go)
}
