package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bug is a place of one file of the production code that says something else.
type bug struct {
	what string
	file string
	old  string // found exactly once in file
	new  string
}

// bugs are three mistakes in the Raft core that a reader of the paper can explain.
var bugs = map[string]bug{
	"quorum": {
		what: "half of the voters are a majority",
		file: "raftactor/raft/quorum/quorum.go",
		old:  "{ return n/2 + 1 }",
		new:  "{ return max(1, n/2) }",
	},
	"vote": {
		what: "a replica forgets over a restart for whom it has voted",
		file: "raftactor/raft/core.go",
		old:  "max(hard.GetTerm(), c.log.lastTerm()), hard.GetVote()",
		new:  "max(hard.GetTerm(), c.log.lastTerm()), uint64(0)",
	},
	"figure8": {
		what: "an entry of an older term is committed because a majority has it",
		file: "raftactor/raft/replication.go",
		old:  "index > c.commit && c.log.term(index) == c.term",
		new:  "index > c.commit",
	},
}

// plant builds this program with a bug in it, and leaves the source tree as it is: the compiler gets a copy of one file instead.
func (b bug) plant(root, dir string) (program string, err error) {
	path := filepath.Join(root, b.file)
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), b.old); n != 1 {
		return "", fmt.Errorf("%s has %q %d times, not once", b.file, b.old, n)
	}
	copied, overlay := filepath.Join(dir, "planted.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{path: copied}})
	if err != nil {
		return "", err
	}
	planted := strings.Replace(string(source), b.old, b.new, 1)
	if err := errors.Join(os.WriteFile(copied, []byte(planted), 0o644), os.WriteFile(overlay, list, 0o644)); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "broken")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", program, "./examples/06-break-it")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build with the bug: %w\n%s", err, out)
	}
	return program, nil
}

// moduleRoot is the directory of the go.mod of the project, wherever in it the program is run.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err != nil || filepath.Base(mod) != "go.mod" {
		return "", errors.Join(fmt.Errorf("run it in the repository, which it builds with a bug (GOMOD is %q)", mod), err)
	}
	return filepath.Dir(mod), nil
}
