package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/eraft-io/eraft"

// arrows say which packages of ours each package may import, beside its own children. Whoever needs another arrow
// has found a decision that belongs elsewhere.
var arrows = map[string][]string{
	"messages":                {},
	"actors":                  {"messages"},
	"actors/remoting":         {"actors", "messages"},
	"actors/actortest":        {},
	"persistence":             {"messages"},
	"persistence/memory":      {"persistence"},
	"persistence/rocksdb":     {"persistence"},
	"persistence/enginetest":  {"persistence"},
	"raftactor/raft/quorum":   {},
	"raftactor/raft/progress": {"messages"},
	"raftactor/raft":          {"messages", "raftactor/raft/quorum", "raftactor/raft/progress"},
	"raftactor":               {"messages", "actors", "persistence", "raftactor/raft", "raftactor/raft/progress"},
	"meta":                    {"messages", "meta/placement", "persistence"},
	"meta/placement":          {"messages"},
	"shardkv":                 {"messages", "persistence"},
	"router":                  {"messages", "actors", "router/fairqueue"},
	"router/fairqueue":        {},
	"router/gateway":          {"messages", "router", "router/fairqueue"},
	"client":                  {"messages", "actors", "actors/remoting", "router"},
	"cluster/console":         {"messages"},
	"cluster": {
		"messages", "actors", "actors/remoting", "persistence", "persistence/rocksdb", "raftactor", "raftactor/raft",
		"meta", "meta/placement", "shardkv", "router", "router/gateway", "client", "cluster/console",
	},
	"cluster/clustertest": {
		"messages", "actors", "actors/actortest", "persistence", "persistence/memory", "raftactor", "raftactor/raft",
		"router", "cluster", "client",
	},
	"cluster/loopback": {"cluster", "client"},
	"cmd/eraft":        {"messages", "client", "cluster", "cluster/clustertest", "meta", "meta/placement"},
	"tests":            {"cluster", "client"},
	"tests/mutants":    {},
	"tests/robustness": {"messages", "client", "cluster/clustertest"},
}

// only these packages may import what is named.
var keepers = map[string]string{
	"github.com/asynkron/protoactor-go/remote": "actors/remoting",
	"github.com/linxGnu/grocksdb":              "persistence/rocksdb",
	"github.com/tidwall/redcon":                "router/gateway",
}

// pure packages have no clock, randomness, goroutine, disk or network of their own.
var pure = []string{"messages", "raftactor/raft", "raftactor/raft/quorum", "raftactor/raft/progress", "meta", "meta/placement", "shardkv"}

type source struct {
	pkg, path string
	lines     int
	file      *ast.File
	set       *token.FileSet
}

func sources(t *testing.T) (all []source) {
	root := ".."
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || rel == "tools" || rel == "bin") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".pb.go") {
			return nil
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, body, parser.ParseComments)
		all = append(all, source{filepath.ToSlash(filepath.Dir(rel)), rel, strings.Count(string(body), "\n"), file, set})
		return err
	}))
	return all
}

func TestArrows(t *testing.T) {
	for _, s := range sources(t) {
		test := strings.HasSuffix(s.path, "_test.go")
		allowed, known := arrows[s.pkg]
		example := s.pkg == "examples" || strings.HasPrefix(s.pkg, "examples/") // may import anything
		require.True(t, known || example, "%s: say in tests/arch_test.go what package %s may import", s.path, s.pkg)
		for _, spec := range s.file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if keeper, kept := keepers[path]; kept && !test {
				require.Equal(t, keeper, s.pkg, "%s: only %s may import %s", s.path, keeper, path)
			}
			if ours, ok := strings.CutPrefix(path, module+"/"); ok && !test && !example {
				require.Contains(t, allowed, ours, "%s: %s must not import %s", s.path, s.pkg, ours)
			}
			if slices.Contains(pure, s.pkg) && !test {
				require.NotContains(t, []string{"os", "net", "time", "sync", "log/slog", "math/rand"}, path, "%s: %s is pure", s.path, s.pkg)
			}
			if path == "log/slog" && !test && !example {
				require.Contains(t, []string{"cluster", "cmd/eraft", "actors", "actors/actortest"}, s.pkg, "%s: packages emit events; cluster logs them", s.path)
			}
		}
	}
}

func TestSizesAndNames(t *testing.T) {
	for _, s := range sources(t) {
		require.LessOrEqual(t, s.lines, 600, "%s: split it by its nouns", s.path)
		for _, banned := range []string{"util", "common", "manager", "helper"} {
			require.NotContains(t, strings.ToLower(s.path), banned, "name it after what it is")
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || f.Name.Name == "Receive" || strings.HasSuffix(s.path, "_test.go") {
				continue
			}
			lines := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1
			require.LessOrEqual(t, lines, 70, "%s: %s hides a decision that belongs in a function of its own", s.path, f.Name.Name)
			if f.Name.IsExported() && f.Recv == nil {
				require.NotNil(t, f.Doc, "%s: say what %s means", s.path, f.Name.Name)
			}
		}
	}
}

func TestNoSleeping(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					require.NotEqual(t, "time.Sleep", x.Name+"."+sel.Sel.Name, "%s: time arrives as a message", s.path)
				}
			}
			return true
		})
	}
}

func TestClientNeedsNoCgo(t *testing.T) {
	cmd := exec.Command("go", "build", module+"/client", module+"/messages", module+"/actors/...", module+"/cluster/clustertest",
		module+"/examples/01-actor", module+"/examples/02-raft-core", module+"/examples/06-break-it")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
