package cluster

import (
	"fmt"
	"math"
	"syscall"
)

// fileLimits is how many files, connections included, each part of a node may have open. A process without free file descriptors
// cannot read its own tables any more, so connections must never take the last ones.
type fileLimits struct {
	logTables, stateTables int // tables that an engine keeps open
	resp                   int // connections of Redis clients,
	http                   int // of whoever reads health, metrics and status,
	nodes                  int // and of nodes and Go clients
}

const (
	minFiles           = 128 // a node does not start with fewer
	reservedFiles      = 64  // listeners, files that engines write, connections to other nodes, files being opened or closed
	maxTables          = 512 // open tables of one engine: bounds their memory
	maxRESPConnections = 10_000
	maxHTTPConnections = 256
	maxNodeConnections = 8192
)

// shareFileLimit divides the number of files that a process may open among the parts of a node.
func shareFileLimit(limit uint64) (fileLimits, error) {
	if limit < minFiles {
		return fileLimits{}, fmt.Errorf("this process may open %d files, but a node needs %d, and as many more as it shall have clients: raise ulimit -n (LimitNOFILE of systemd)",
			limit, minFiles)
	}
	rest := int(min(limit, math.MaxInt32)) - reservedFiles
	f := fileLimits{logTables: min(rest/8, maxTables), stateTables: min(rest/4, maxTables)}
	rest -= f.logTables + f.stateTables
	f.http, f.nodes = min(rest/8, maxHTTPConnections), min(rest*3/8, maxNodeConnections)
	f.resp = min(rest-f.http-f.nodes, maxRESPConnections)
	return f, nil
}

// fileLimit returns how many files this process may open. The Go runtime has raised the soft limit to the hard limit already.
func fileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return limit.Cur, nil
}

// processFileLimits divides the file limit of this process.
func processFileLimits() (fileLimits, error) {
	limit, err := fileLimit()
	if err != nil {
		return fileLimits{}, err
	}
	return shareFileLimit(limit)
}
