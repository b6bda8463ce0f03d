package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// volume is a file system of its own, in a file.
type volume struct {
	t           *testing.T
	image, path string
}

func newVolume(t *testing.T, dir string, i int) *volume {
	v := &volume{t: t, image: filepath.Join(dir, fmt.Sprintf("v%d.img", i+1)), path: filepath.Join(dir, fmt.Sprintf("v%d", i+1))}
	require.NoError(t, os.WriteFile(v.image, nil, 0o600))
	require.NoError(t, os.Truncate(v.image, 512<<20))
	v.run("mkfs.ext4", "-q", v.image)
	require.NoError(t, os.Mkdir(v.path, 0o700))
	v.mount()
	t.Cleanup(v.unmount)
	return v
}

func (v *volume) run(name string, args ...string) {
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(v.t, err, "%s %v: %s", name, args, out)
}

func (v *volume) mount() { v.run("mount", "-o", "loop", v.image, v.path) }

func (v *volume) unmount() { v.run("umount", v.path) }

// shutDown is what a file system does whose device is gone: no call succeeds any more, and what was not synced is lost.
func (v *volume) shutDown() {
	const shutdown, noLogFlush = 0x8004587d, 2 // linux/fs.h: _IOR('X', 125, __u32)
	dir, err := os.Open(v.path)
	require.NoError(v.t, err)
	defer dir.Close()
	how := uint32(noLogFlush)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, dir.Fd(), shutdown, uintptr(unsafe.Pointer(&how)))
	require.Zero(v.t, errno, "%v", errno)
}

// A file system that shuts down under a node: it says why it stops, and why it does not start. Then all do at once, as when power
// is lost: what was acknowledged is there afterwards, though what was not synced is not.
func TestFileSystemsShutDownUnderLoad(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount file systems")
	}
	dir := t.TempDir()
	var volumes []*volume
	for i := range 3 {
		volumes = append(volumes, newVolume(t, dir, i))
	}
	p := startProcesses(t, 3, func(i int) []string {
		return []string{"--data", filepath.Join(volumes[i].path, "data"), "--reserve", "16"}
	})
	again := func(i int) {
		volumes[i].unmount()
		volumes[i].mount()
		p.start(i)
	}
	underLoad(t, p, func() {
		volumes[2].shutDown()
		require.Error(t, p.wait(2))
		require.Contains(t, p.log(2), "eraft: the node stopped:")
		require.Contains(t, p.log(2), "fails, or its file system has shut down")
		p.start(2) // on what is left of it
		require.Error(t, p.wait(2))
		require.Contains(t, p.log(2), "cannot be written")
		require.NotContains(t, p.log(2), "SIGABRT")
		again(2)
		p.ready()
		for range 2 {
			for _, v := range volumes {
				v.shutDown()
			}
			for i := range volumes {
				p.kill(i)
			}
			for i := range volumes {
				again(i)
			}
			p.ready()
		}
	})
}
