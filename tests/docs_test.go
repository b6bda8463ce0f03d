package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// texts are the files of the repository that people read, by path from its root.
func texts(t *testing.T, extensions ...string) map[string]string {
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || name == "bin" || name == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		for _, extension := range extensions {
			if strings.HasSuffix(path, extension) && !strings.HasSuffix(path, ".pb.go") {
				body, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				all[filepath.ToSlash(strings.TrimPrefix(path, "../"))] = string(body)
			}
		}
		return nil
	}))
	return all
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+)$`)
	adrLink = regexp.MustCompile(`\[ADR (\d+)\]\(([^)]*)\)`)
	adrName = regexp.MustCompile(`\bADR (\d+)`)
)

// anchor is what a heading is called in links to it.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

func anchors(body string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(body, ""), -1) {
		text := link.ReplaceAllString(m[1], "]")
		all[anchor(strings.NewReplacer("`", "", "[", "", "]", "").Replace(text))] = true
	}
	return all
}

// Links in Markdown lead somewhere: to a file of the repository, and to a heading in it.
func TestLinksLeadSomewhere(t *testing.T) {
	documents := texts(t, ".md")
	require.Contains(t, documents, "README.md")
	links := 0
	for path, body := range documents {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(body, ""), -1) {
			target := m[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			file, name, _ := strings.Cut(target, "#")
			to := path
			if file != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(path), file))
				_, err := os.Stat(filepath.Join("..", to))
				require.NoError(t, err, "%s: %s", path, target)
			}
			if name != "" {
				require.True(t, anchors(documents[to])[name], "%s: there is no heading for %s", path, target)
			}
		}
	}
	require.Greater(t, links, 50)
}

// An ADR is called by the number of its file, in links, in text and in comments, and there is one of each number.
func TestADRsAreCalledByTheirNumbers(t *testing.T) {
	files, err := os.ReadDir("../docs/adr")
	require.NoError(t, err)
	numbers := map[string]string{}
	for _, f := range files {
		number, _, ok := strings.Cut(f.Name(), "-")
		if !ok || !strings.HasSuffix(f.Name(), ".md") {
			continue
		}
		number = strings.TrimLeft(number, "0")
		require.Empty(t, numbers[number], "ADR %s is there twice: %s", number, f.Name())
		numbers[number] = f.Name()
		body, err := os.ReadFile(filepath.Join("../docs/adr", f.Name()))
		require.NoError(t, err)
		require.Regexp(t, `^# `+number+`\. `, string(body), "%s: the title has another number", f.Name())
	}
	for path, body := range texts(t, ".md", ".go", ".proto", ".txt") {
		if path == "tests/docs_test.go" {
			continue
		}
		for _, m := range adrName.FindAllStringSubmatch(body, -1) {
			require.Contains(t, numbers, m[1], "%s: there is no ADR %s", path, m[1])
		}
		for _, m := range adrLink.FindAllStringSubmatch(body, -1) {
			require.Equal(t, numbers[m[1]], filepath.Base(m[2]), "%s: the link to ADR %s leads to another one", path, m[1])
		}
	}
}

// Nothing refers to documents that are not in the repository, and paths to files of ours in documents and comments lead to files.
func TestReferencesLeadSomewhere(t *testing.T) {
	paths := regexp.MustCompile("`((?:actors|raftactor|meta|shardkv|router|persistence|messages|cluster|client|cmd|tests|docs|scripts)/[A-Za-z0-9_./-]+\\.(?:go|md|proto|sh|txt|c))`")
	for path, body := range texts(t, ".md", ".go", ".proto", ".txt") {
		if path == "tests/docs_test.go" || path == "CHANGELOG.md" {
			continue
		}
		for _, gone := range []string{"DESIGN 5", "DESIGN.md", "DESIGN section", "pitfall "} {
			require.NotContains(t, body, gone, path)
		}
		for _, m := range paths.FindAllStringSubmatch(body, -1) {
			_, err := os.Stat(filepath.Join("..", m[1]))
			require.NoError(t, err, "%s names %s", path, m[1])
		}
	}
}
