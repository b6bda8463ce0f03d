package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	named   = regexp.MustCompile("\\[`([A-Za-z_.]+)`\\]\\(([^)\\s]+\\.go)\\)")
	testRun = regexp.MustCompile(`go test \./([a-z0-9/]+) -run ('[^']+'|\S+?)(?: -v)?` + "[`\\s]")
	program = regexp.MustCompile(`go run \./(\S+?)[` + "`\\s]")
)

// declared are the names that a file declares: functions, types, variables, and methods as Type.Method.
func declared(t *testing.T, path string) (names []string) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				of := d.Recv.List[0].Type
				if star, ok := of.(*ast.StarExpr); ok {
					of = star.X
				}
				if receiver, ok := of.(*ast.Ident); ok {
					name = receiver.Name + "." + name
				}
			}
			names = append(names, name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

// lessons are the documents that lead a reader from questions to code.
func lessons(t *testing.T) map[string]string {
	all := texts(t, ".md")
	for path := range all {
		if path != "docs/LEARN.md" && path != "README.md" && !strings.HasPrefix(path, "examples/") {
			delete(all, path)
		}
	}
	require.Contains(t, all, "docs/LEARN.md")
	return all
}

// packages are those that documents name identifiers of.
var packages = map[string]string{
	"actors": "actors", "actortest": "actors/actortest", "client": "client", "cluster": "cluster", "clustertest": "cluster/clustertest",
	"loopback": "cluster/loopback", "messages": "messages", "persistence": "persistence", "raft": "raftactor/raft", "raftactor": "raftactor",
}

// What is written as package.Name is declared in that package.
func TestReferencesToIdentifiers(t *testing.T) {
	qualified := regexp.MustCompile(`\b([a-z]+)\.([A-Z][A-Za-z]+)`)
	names := map[string][]string{}
	for path, body := range lessons(t) {
		for _, m := range qualified.FindAllStringSubmatch(body, -1) {
			directory, ours := packages[m[1]]
			if !ours {
				continue
			}
			if names[directory] == nil {
				files, err := filepath.Glob(filepath.Join("..", directory, "*.go"))
				require.NoError(t, err)
				for _, file := range files {
					names[directory] = append(names[directory], declared(t, file)...)
				}
			}
			require.True(t, slices.Contains(names[directory], m[2]), "%s: package %s has no %s", path, directory, m[2])
		}
	}
}

// What is written as [`Name`](file.go) is declared in that file.
func TestReferencesToCode(t *testing.T) {
	references := 0
	for path, body := range lessons(t) {
		for _, m := range named.FindAllStringSubmatch(body, -1) {
			references++
			require.Contains(t, declared(t, filepath.Join("..", filepath.Dir(path), m[2])), m[1], "%s: %s does not declare %s", path, m[2], m[1])
		}
	}
	require.Greater(t, references, 60)
}

// The tests and scenarios that documents tell to run are there.
func TestReferencesToTests(t *testing.T) {
	commands := 0
	for path, body := range lessons(t) {
		for _, m := range testRun.FindAllStringSubmatch(body, -1) {
			commands++
			requireTests(t, path, m[1], strings.Trim(m[2], "'"))
		}
		for _, m := range program.FindAllStringSubmatch(body, -1) {
			info, err := os.Stat(filepath.Join("..", m[1]))
			require.NoError(t, err, path)
			require.True(t, info.IsDir(), "%s: go run ./%s", path, m[1])
		}
	}
	require.Greater(t, commands, 40)
}

// requireTests wants a package to have what each alternative of a -run expression names: Test, or Test/scenario.
func requireTests(t *testing.T, document, pkg, expression string) {
	files, err := filepath.Glob(filepath.Join("..", pkg, "*_test.go"))
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, declared(t, file)...)
	}
	test, scenario, scenarios := strings.Cut(expression, "/")
	for name := range strings.SplitSeq(test, "|") {
		require.True(t, slices.Contains(names, name), "%s: package %s has no %s", document, pkg, name)
	}
	if !scenarios {
		return
	}
	for name := range strings.SplitSeq(strings.Trim(scenario, "()"), "|") {
		found, err := filepath.Glob(filepath.Join("..", pkg, "testdata", name+"*.txt"))
		require.NoError(t, err)
		require.NotEmpty(t, found, "%s: package %s has no scenario %s", document, pkg, name)
	}
}
