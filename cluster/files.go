package cluster

import (
	"fmt"
	"math"
	"syscall"
)

// files are how many files the parts of a node may have open, connections among them. A process that is out of files cannot read
// its own tables any more, so strangers must never have the last one.
type files struct {
	log, state int // tables that an engine keeps open
	resp       int // connections of Redis clients,
	http       int // of whoever reads health, metrics and status,
	nodes      int // and of nodes and Go clients
}

const (
	leastFiles = 128 // with fewer a node does not start
	ownFiles   = 64  // listeners, what engines write to, connections to other nodes, and what is being opened or closed
	mostTables = 512 // of an engine: bounds the memory of open tables
	mostRESP   = 10_000
	mostHTTP   = 256
	mostNodes  = 8192
)

// filesOf shares out what a process may open.
func filesOf(limit uint64) (files, error) {
	if limit < leastFiles {
		return files{}, fmt.Errorf("this process may open %d files, but a node needs %d, and as many more as it shall have clients: raise ulimit -n (LimitNOFILE of systemd)",
			limit, leastFiles)
	}
	rest := int(min(limit, math.MaxInt32)) - ownFiles
	f := files{log: min(rest/8, mostTables), state: min(rest/4, mostTables)}
	rest -= f.log + f.state
	f.http, f.nodes = min(rest/8, mostHTTP), min(rest*3/8, mostNodes)
	f.resp = min(rest-f.http-f.nodes, mostRESP)
	return f, nil
}

// fileLimit is how many files this process may open. Go has raised it as far as it may be raised.
func fileLimit() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return limit.Cur, nil
}

// filesHere shares out what this process may open.
func filesHere() (files, error) {
	limit, err := fileLimit()
	if err != nil {
		return files{}, err
	}
	return filesOf(limit)
}
