package tests

import (
	"bufio"
	"go/ast"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// declaredNames gives the names that a file declares at package level: types, functions, methods, fields, constants, variables.
func declaredNames(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, d.Name.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					for _, n := range spec.Names {
						names = append(names, n.Name)
					}
				case *ast.TypeSpec:
					names = append(names, spec.Name.Name)
					ast.Inspect(spec.Type, func(n ast.Node) bool {
						if field, ok := n.(*ast.Field); ok {
							for _, name := range field.Names {
								names = append(names, name.Name)
							}
						}
						return true
					})
				}
			}
		}
	}
	return names
}

// Packages declare no names that the glossary has replaced. testdata/retired.txt has a line per package: its directory, and the
// names.
func TestNoRetiredNames(t *testing.T) {
	file, err := os.Open("testdata/retired.txt")
	require.NoError(t, err)
	defer file.Close()
	retired := map[string]map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		require.Greater(t, len(words), 1, lines.Text())
		retired[words[0]] = map[string]bool{}
		for _, w := range words[1:] {
			retired[words[0]][w] = true
		}
	}
	packages := map[string]bool{}
	for _, s := range sources(t) {
		packages[s.pkg] = true
		for _, name := range declaredNames(s.file) {
			require.False(t, retired[s.pkg][name], "%s declares %s: docs/GLOSSARY.md has the field's word", s.path, name)
		}
	}
	for pkg := range retired {
		require.True(t, packages[pkg], "testdata/retired.txt: there is no package %s", pkg)
	}
}

// retiredWords are compounds and phrases that the glossary has replaced. Single English words are not here: they have meanings of
// their own.
var retiredWords = regexp.MustCompile(`(?i)\b(hand[- ]?overs?|hand-off|heirs?|strolls?|errands?|askers?|guests?|mover|pulses?|in office|` +
	`takes? office|leaves? office|births?|group (is|are) at rest|comes? to rest|givers?|takers?|forgetful)\b`)

// recorded are documents that quote what was recorded: names of faults at the time.
var recorded = map[string]bool{"CHANGELOG.md": true, "tests/vocabulary_test.go": true}

// Comments and documents use the words of docs/GLOSSARY.md.
func TestNoRetiredWords(t *testing.T) {
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				if found := retiredWords.FindString(c.Text); found != "" && !recorded[s.path] {
					t.Errorf("%s: a comment says %q: docs/GLOSSARY.md has the field's word", s.set.Position(c.Pos()), found)
				}
			}
		}
	}
	for file, body := range texts(t, ".md", ".proto") {
		if found := retiredWords.FindString(body); found != "" && !recorded[file] {
			t.Errorf("%s says %q: docs/GLOSSARY.md has the field's word", file, found)
		}
	}
}

// Every term of the glossary lives where it says: a file or directory of the repository, or a name that a package declares.
func TestGlossaryLivesSomewhere(t *testing.T) {
	names, directories := map[string]bool{}, map[string]bool{} // directories: raftactor/raft is called raft
	for _, s := range sources(t) {
		directories[s.pkg] = true
		for _, name := range declaredNames(s.file) {
			names[path.Base(s.pkg)+"."+name] = true
		}
	}
	generated, err := os.ReadDir("../messages")
	require.NoError(t, err)
	typeName := regexp.MustCompile(`(?m)^type (\w+) `)
	for _, f := range generated {
		if strings.HasSuffix(f.Name(), ".pb.go") {
			body, err := os.ReadFile("../messages/" + f.Name())
			require.NoError(t, err)
			for _, m := range typeName.FindAllStringSubmatch(string(body), -1) {
				names["messages."+m[1]] = true
			}
		}
	}
	body, err := os.ReadFile("../docs/GLOSSARY.md")
	require.NoError(t, err)
	home, rows := regexp.MustCompile("`([^`]+)`"), 0
	for _, line := range strings.Split(string(body), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.Contains(cells[4], "`") {
			continue
		}
		rows++
		for _, m := range home.FindAllStringSubmatch(cells[4], -1) {
			_, err := os.Stat("../" + m[1])
			require.True(t, err == nil || directories["raftactor/"+m[1]] || names[m[1]], "docs/GLOSSARY.md:%s: there is no %s", cells[1], m[1])
		}
	}
	require.Greater(t, rows, 50)
}
