package cluster

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsableMemory(t *testing.T) {
	const machine, gib = "MemFree:  1 kB\nMemTotal:       16777216 kB\nHugePages_Total:       0\n", 1 << 30
	for _, c := range []struct {
		name  string
		files map[string]string
		want  uint64
	}{
		{"nothing is known", nil, 0},
		{"a machine", map[string]string{"/proc/meminfo": machine, "/sys/fs/cgroup/memory.max": "max\n"}, 16 * gib},
		{"a container", map[string]string{"/proc/meminfo": machine, "/sys/fs/cgroup/memory.max": "1073741824\n"}, gib},
		{"a container of old", map[string]string{"/proc/meminfo": machine, "/sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648\n"}, 2 * gib},
		{"no limit of old", map[string]string{"/proc/meminfo": machine, "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 16 * gib},
		{"a service in a slice", map[string]string{
			"/proc/meminfo": machine, "/proc/self/cgroup": "0::/a.slice/b.service\n",
			"/sys/fs/cgroup/a.slice/memory.max": "3221225472\n", "/sys/fs/cgroup/a.slice/b.service/memory.max": "max\n",
		}, 3 * gib},
		{"nonsense", map[string]string{"/proc/meminfo": "MemTotal: x kB\n", "/proc/self/cgroup": "::::\n0::\n", "/sys/fs/cgroup/memory.max": "-1"}, 0},
	} {
		got := readMemory(func(name string) ([]byte, error) {
			if text, found := c.files[name]; found {
				return []byte(text), nil
			}
			return nil, os.ErrNotExist
		})
		require.Equal(t, c.want, got, c.name)
	}
	require.EqualValues(t, defaultCache, cacheFor(0))
	require.EqualValues(t, 64<<20, cacheFor(100<<20))
	require.EqualValues(t, gib/2, cacheFor(4*gib))
	require.EqualValues(t, maxCache, cacheFor(1<<50))
	require.Error(t, (&Config{Dir: "x", CacheBytes: 1}).fill())
}
