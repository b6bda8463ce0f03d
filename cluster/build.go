package cluster

import (
	"cmp"
	"runtime/debug"
)

// Build says of what this program was built, as far as the build has noted it.
type Build struct {
	Version string `json:"version"` // of the module, "(devel)" between versions
	Commit  string `json:"commit"`  // "unknown" outside of a repository; "+changed": with changes that are not in it
	Go      string `json:"go"`
}

// module is the path of this one, in whatever program it is.
const module = "github.com/eraft-io/eraft"

// BuildOf gives the Build of this program.
func BuildOf() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "unknown", Commit: "unknown", Go: "unknown"}
	}
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) Build {
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	if info.Main.Path != module { // it is a part of somebody else's program, whose commit says nothing of it
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
