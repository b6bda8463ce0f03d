package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

var (
	block  = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	inline = regexp.MustCompile("`(eraft [a-z][^`]*)`")
	called = regexp.MustCompile(`(?:^|[\s(&|;])(?:bin/)?eraft ([a-z][^|;&#>]*)`)
)

// words takes a line of a shell apart, as far as documents need it.
func words(line string) (all []string) {
	quoted := byte(0)
	word, some := "", false
	for _, c := range []byte(line + " ") {
		switch {
		case quoted != 0 && c == quoted:
			quoted = 0
		case quoted == 0 && (c == '"' || c == '\''):
			quoted, some = c, true
		case quoted == 0 && c == ' ':
			if word != "" || some {
				all = append(all, word)
			}
			word, some = "", false
		default:
			word += string(c)
		}
	}
	return all
}

// Every command that a document shows exists and has those flags, and in examples as many arguments.
func TestCommandsInDocumentsParse(t *testing.T) {
	documents, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	adrs, err := filepath.Glob("../../docs/adr/*.md")
	require.NoError(t, err)
	shown := 0
	parse := func(document, line string, whole bool) {
		shown++
		root := commands()
		args := numbersAreArguments(root, words(line))
		c, rest, err := root.Find(args)
		require.NoError(t, err, "%s: eraft %s", document, line)
		require.NotEqual(t, root, c, "%s: eraft %s", document, line)
		if err := c.ParseFlags(rest); whole || err != nil && !strings.Contains(err.Error(), "needs an argument") && !errors.Is(err, pflag.ErrHelp) { // text may name a flag alone
			require.NoError(t, err, "%s: eraft %s", document, line)
		}
		if whole {
			require.NoError(t, c.ValidateArgs(c.Flags().Args()), "%s: eraft %s", document, line)
		}
	}
	for _, document := range append(append(documents, adrs...), "../../README.md") {
		bytes, err := os.ReadFile(document)
		require.NoError(t, err)
		body := strings.ReplaceAll(string(bytes), "\\\n", " ")
		for _, b := range block.FindAllStringSubmatch(body, -1) {
			for _, line := range strings.Split(b[1], "\n") {
				for _, m := range called.FindAllStringSubmatch(line, -1) {
					parse(document, strings.TrimSpace(m[1]), true)
				}
			}
		}
		for _, m := range inline.FindAllStringSubmatch(block.ReplaceAllString(body, ""), -1) {
			parse(document, strings.TrimPrefix(m[1], "eraft "), false)
		}
	}
	require.Greater(t, shown, 40)
}
