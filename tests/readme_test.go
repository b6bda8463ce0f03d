package tests

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// apart runs a script in a network, a process space and a /tmp/eraft of its own, so that fixed ports and paths meet nobody's. Who may not
// have those, in a container as a rule, gets none.
const apart = `ip link set lo up && mkdir -p /tmp/eraft && mount -t tmpfs tmpfs /tmp/eraft && exec "$@"`

func isolation() []string {
	line := []string{"unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", apart, "sh"}
	if exec.Command(line[0], append(line[1:], "true")...).Run() != nil {
		return nil
	}
	return line
}

// shell runs a script as somebody would type it, from a directory, and gives what it printed. Nothing of it outlives the call.
func shell(t *testing.T, dir, script string, env ...string) string {
	own := isolation()
	if own == nil {
		require.NoDirExists(t, "/tmp/eraft", "it is of somebody else, and the README's nodes would use it")
	}
	line := append(own, "bash", "-e", "-o", "pipefail", "-c", script)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	var out, log bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), env...), &out, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // nodes that are left hold what it prints to
	require.NoError(t, cmd.Start())
	err := cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left running
	if own == nil {
		require.NoError(t, os.RemoveAll("/tmp/eraft"))
	} else {
		_ = os.Remove("/tmp/eraft") // where its own was mounted; it stays if there is something in it
	}
	if err != nil && err != exec.ErrWaitDelay {
		require.NoError(t, err, "%s\n%s", out.String(), log.String())
	}
	return out.String()
}

// The commands of the README do what it says, as they stand there, and with the names that people use instead: localhost, a program in
// the PATH, another directory.
func TestReadme(t *testing.T) {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	scripts := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	require.Len(t, scripts, 2, "each block of commands is run here, or there is a reason")
	require.Contains(t, scripts[0][1], "make demo", "it takes the project from where it is published, and runs all tests, this one among them")
	cluster := scripts[1][1]
	elsewhere := strings.ReplaceAll(strings.ReplaceAll(cluster, "127.0.0.1", "localhost"), "bin/eraft", "eraft")
	elsewhere = strings.Replace(elsewhere, "make\n", "make -C "+root+"\n", 1)
	require.NotContains(t, elsewhere, "127.0.0.1")
	for _, c := range []struct{ name, dir, script string }{
		{"as it stands there", root, cluster},
		{"with localhost, by name, from another directory", t.TempDir(), elsewhere},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := shell(t, c.dir, c.script, "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"), "ERAFT_SEEDS=")
			require.Contains(t, out, "ok\nOK\nhello\n")
			for _, node := range []string{"n1", "n2", "n3"} {
				require.Regexp(t, `(?m)^\d +`+node+` .* (up|unknown) `, out, "who is asked at once may not have heard the others")
			}
		})
	}
}
