package cluster

import (
	"bytes"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// Bounds of Config.CacheBytes, in bytes. With less than minCache, indexes and filters of the data do not fit.
const (
	minCache     = 16 << 20
	defaultCache = 128 << 20 // if the amount of memory is unknown
	maxCache     = 4 << 30   // of the default; a Config may set more
)

// cacheFor returns the default of Config.CacheBytes for a process that may use memory bytes: an eighth, in bounds.
func cacheFor(memory uint64) int64 {
	if memory == 0 {
		return defaultCache
	}
	return int64(min(max(memory/8, 4*minCache), maxCache))
}

// usableMemory returns how many bytes of memory this process may use according to Linux: those of the machine, or the limit of a
// control group (of a container or a service). 0: unknown.
func usableMemory() uint64 { return readMemory(os.ReadFile) }

func readMemory(read func(name string) ([]byte, error)) uint64 {
	memory := uint64(math.MaxUint64)
	if info, err := read("/proc/meminfo"); err == nil {
		for line := range bytes.Lines(info) {
			if f := strings.Fields(string(line)); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
				if kib, err := strconv.ParseUint(f[1], 10, 54); err == nil {
					memory = kib << 10
				}
			}
		}
	}
	for _, name := range limitFiles(read) {
		text, err := read(name)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil { // else it is "max"
			memory = min(memory, limit)
		}
	}
	if memory == math.MaxUint64 {
		return 0
	}
	return memory
}

// limitFiles returns the files that may hold memory limits of this process: those of its control group and of the groups around it,
// of both versions of control groups. A container sees its own group at the root.
func limitFiles(read func(name string) ([]byte, error)) []string {
	files := []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}
	groups, err := read("/proc/self/cgroup")
	if err != nil {
		return files
	}
	for line := range strings.Lines(string(groups)) {
		_, at, found := strings.Cut(strings.TrimSpace(line), "::")
		for ; found && at != "/" && at != "."; at = path.Dir(at) {
			files = append(files, path.Join("/sys/fs/cgroup", at, "memory.max"))
		}
	}
	return files
}
