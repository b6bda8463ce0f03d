package cluster

import (
	"cmp"
	"runtime/debug"
)

// Build describes the build of this program, as far as the Go toolchain has recorded it.
type Build struct {
	Version string `json:"version"` // of the module; "(devel)": built between versions
	Commit  string `json:"commit"`  // hash; "unknown": built outside of a repository; suffix "+changed": built with uncommitted changes
	Go      string `json:"go"`
}

// module is the path of eRaft's Go module.
const module = "github.com/eraft-io/eraft"

// BuildOf returns the Build of this program.
func BuildOf() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "unknown", Commit: "unknown", Go: "unknown"}
	}
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) Build {
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	if info.Main.Path != module { // eRaft is embedded in another program, whose commit says nothing about eRaft
		for _, m := range info.Deps {
			if m.Path == module {
				b.Version = m.Version
			}
		}
	} else {
		changed := ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				b.Commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "+changed"
			}
		}
		if b.Commit != "" {
			b.Commit += changed
		}
	}
	b.Version, b.Commit = cmp.Or(b.Version, "(devel)"), cmp.Or(b.Commit, "unknown")
	return b
}
