package cluster

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/meta/placement"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/raftactor"
)

// Config describes a node. Start fills in defaults and refuses invalid values with a ConfigError.
type Config struct {
	Name      string   // unique in the cluster; default: the host name
	Dir       string   // data directory, created if absent; one node per directory
	Listen    string   // host:port for other nodes and Go clients; port 0 takes a free one
	Advertise string   // host:port at which other nodes and clients reach Listen; default Listen
	Seeds     []string // host:port of any nodes of the cluster, possibly this one; all nodes get the same list
	Expect    int      // nodes that must meet before a new cluster is bootstrapped; default: len(Seeds), or 1 without Seeds
	RESP      string   // host:port for Redis clients; "" for none
	OwnKeys   bool     // SCAN, KEYS and DBSIZE over RESP return only keys that this node leads, as in Redis Cluster
	HTTP      string   // host:port for health, metrics and status; "" for none
	Buckets   int      // buckets of a new cluster, 1 to 16384; they cannot be changed later; default 256
	Groups    int      // shard groups of a new cluster; default 0: always as many as there are nodes
	Replicas  int      // replicas per shard group of a new cluster; default 3
	Insecure  bool     // allow listening beyond loopback without TLS
	Profiles  bool     // serve Go's profiles over HTTP to other machines, too; on a loopback address they are always served
	Labels    []string // "key=value" each; the replicas of a group are spread over the values of the key zone

	// ReplaceAfter is how long a node may be silent, as seen by the leader of group 0, before its replicas are placed on other
	// nodes. When it is heard again, placement may use it again. Default 10 minutes, at least 5 seconds.
	ReplaceAfter time.Duration

	// UnevenBytes is the difference in size between two groups above which placement moves buckets. Default 64 MiB.
	UnevenBytes uint64

	// CacheBytes is the size of the block cache for data that is read often, at least 16 MiB. Other data is read from files,
	// which the system's page cache may hold. Default: an eighth of the memory that the process may use, 64 MiB to 4 GiB.
	CacheBytes int64

	// ReserveBytes is how many bytes of the disk are kept free. With less, the node accepts only commands that make data smaller,
	// and transfers its leaderships to nodes with more space. Default: a tenth of the file system, between 256 MiB and 1 GiB.
	ReserveBytes uint64

	// LeaseReads lets a leader answer reads without asking a quorum while it holds a lease. Reads stay linearizable as long as no
	// node's clock runs more than ClockRatio times as fast as another's. ClockRatio is 1.01 to 3, default 1.25.
	LeaseReads bool
	ClockRatio float64

	Logger *slog.Logger       // optional
	Events func(actors.Event) // optional; is called with every event, from any goroutine, and must not block
	Limits raftactor.Limits   // of each replica; a zero field means its default

	Migration MigrationLimits
	Overrides Overrides
}

// Overrides replace parts of a node's environment. Simulations and tests set them; a zero field means the production part.
type Overrides struct {
	Network func(Config) actors.Network                                 // default: TCP
	Engines func(dir string) (log, state persistence.Engine, err error) // default: RocksDB, and a lock on the directory
	Free    func(dir string) (free, total uint64, err error)            // free space in bytes; default: the file system's, not checked if Engines is set
	Clock   actors.Clock                                                // default: the machine's clock
	Seed    uint64                                                      // of the node's random numbers; default: drawn. Each start of a node needs another one
	Level   messages.Level                                              // feature level of the program; default: NewestLevel
	Fatal   func(error)                                                 // stops a node that must not go on; default: stop without leadership transfer
	OnApply raftactor.Observer                                          // is called with every command that a replica applies; default: none
	OnRead  raftactor.ReadObserver                                      // is called with every read that a replica answers; default: none
}

// ConfigError is the error of Start for an invalid Config. Start has changed nothing.
type ConfigError struct{ error }

func (c *Config) fill() error {
	if c.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("name is not set and the host has none: %w", err)
		}
		c.Name = name
	}
	if c.Dir == "" {
		return fmt.Errorf("no data directory is set: say where the node keeps its data")
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:7400"
	}
	if c.Expect == 0 {
		c.Expect = max(1, len(c.Seeds))
	}
	if c.Buckets == 0 {
		c.Buckets = 256
	}
	if c.Replicas == 0 {
		c.Replicas = 3
	}
	if c.ReplaceAfter == 0 {
		c.ReplaceAfter = 10 * time.Minute
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = cacheFor(usableMemory())
	}
	if c.Overrides.Level == 0 {
		c.Overrides.Level = messages.NewestLevel
	}
	if c.Overrides.Free == nil && c.Overrides.Engines == nil {
		c.Overrides.Free = freeBytes
	}
	c.Limits.LeaseReads = c.Limits.LeaseReads || c.LeaseReads
	c.Limits.ClockRatio = max(c.Limits.ClockRatio, c.ClockRatio)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := c.Migration.fill(); err != nil {
		return err
	}
	return c.validate()
}

func (c *Config) validate() error {
	for _, n := range []struct {
		name             string
		value, low, high int
	}{
		{"expect", c.Expect, 1, 1000},
		{"buckets", c.Buckets, 1, messages.Slots},
		{"groups", c.Groups, 0, min(c.Buckets, messages.MaxGroups)},
		{"replicas", c.Replicas, 1, 7},
	} {
		if n.value < n.low || n.value > n.high {
			return fmt.Errorf("%s is %d, but must be %d to %d", n.name, n.value, n.low, n.high)
		}
	}
	if c.CacheBytes < minCache {
		return fmt.Errorf("cache is %d bytes, but must be at least %d MiB: indexes and filters of the data must fit", c.CacheBytes, minCache>>20)
	}
	if r := c.Limits.ClockRatio; r != 0 && (r < 1.01 || r > 3) {
		return fmt.Errorf("clock-ratio is %v, but must be 1.01 to 3: by so much the clocks of two nodes may differ in speed", r)
	}
	if len(c.Seeds) == 0 && c.Expect > 1 {
		return fmt.Errorf("expect is %d, but there are no seeds: name at least one node that all others can ask", c.Expect)
	}
	if len(c.Seeds) > messages.MaxBootstrapPeers {
		return fmt.Errorf("%d seeds are named, but %d is the most: some that all others can ask are enough", len(c.Seeds), messages.MaxBootstrapPeers)
	}
	if len(c.Name) > messages.MaxNameBytes {
		return fmt.Errorf("name is %d bytes long, but %d is the most", len(c.Name), messages.MaxNameBytes)
	}
	if err := c.Limits.Validate(); err != nil {
		return err
	}
	if err := messages.CheckAddresses(c.Seeds); err != nil {
		return fmt.Errorf("seeds: %w", err)
	}
	if c.Advertise != "" {
		if err := messages.CheckAddress(c.Advertise); err != nil {
			return fmt.Errorf("advertise: %w", err)
		}
	}
	slices.Sort(c.Labels)
	if err := placement.CheckLabels(c.Labels); err != nil {
		return err
	}
	if c.ReplaceAfter < minReplaceAfter {
		return fmt.Errorf("replace-after is %v, but must be at least %v: a node that restarts is silent for a while", c.ReplaceAfter, minReplaceAfter)
	}
	return c.validateListeners()
}

const minReplaceAfter = 5 * time.Second

func (c *Config) validateListeners() error {
	for _, l := range []struct{ name, address string }{{"listen", c.Listen}, {"resp", c.RESP}, {"http", c.HTTP}} {
		if l.address == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l.address)
		if err != nil {
			return fmt.Errorf("%s: %q is not an address of the form host:port", l.name, l.address)
		}
		if _, err := net.LookupPort("tcp", port); err != nil {
			return fmt.Errorf("%s: %s has no port from 0 to 65535", l.name, l.address)
		}
		if c.Insecure || host == "localhost" {
			continue
		}
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return fmt.Errorf("%s: %s can be reached from other machines and eRaft speaks without TLS: "+
				"listen on a loopback address, or say insecure if the network is yours alone", l.name, l.address)
		}
	}
	return nil
}
