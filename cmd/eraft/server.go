package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eraft-io/eraft/cluster"
)

func serverCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "server", Short: "Run a node: the same command for its first start and for every restart",
		Long: "Run a node. Every flag is also a key of the config file, and ERAFT_SERVER_<FLAG> in the environment (or ERAFT_<FLAG>,\n" +
			"except ERAFT_SEEDS, which names a cluster for clients). Flags override the environment, which overrides the file.",
		Args: exactly(0, 0, "no arguments"),
	}
	f := c.Flags()
	f.String("name", "", "unique name of the node (default: the host name)")
	f.String("data", "", "data directory, created if absent")
	f.String("listen", "127.0.0.1:7400", "host:port for nodes and Go clients")
	f.String("advertise", "", "host:port at which others reach --listen (default: the same)")
	f.StringSlice("seeds", nil, "host:port of nodes to ask for a cluster; the same list on every node")
	f.Int("expect", 0, "nodes that must be present before a new cluster bootstraps (default: number of seeds, or 1)")
	f.String("resp", "", "host:port for Redis clients")
	f.Bool("own-keys", false, "SCAN, KEYS and DBSIZE of Redis clients cover only keys that the node leads, as in Redis Cluster (default: all keys)")
	f.String("http", "", "host:port for health, metrics and status")
	f.Int("buckets", 0, "buckets of a new cluster, fixed for ever (default 256)")
	f.Int("groups", 0, "shard groups of a new cluster (default: as many as nodes)")
	f.Int("replicas", 0, "replicas per group of a new cluster (default 3)")
	f.StringSlice("labels", nil, "key=value,… of this node; replicas are spread over the values of zone")
	f.Int("reserve", 0, "MiB of the disk to keep free: with less only deletes and reads are accepted (default: a tenth of the disk, 256 to 1024)")
	f.Duration("replace-after", 10*time.Minute, "replace the replicas of a node that is silent for so long")
	f.Bool("lease-reads", false, "leaders answer reads without asking a quorum; needs clocks of bounded drift, see --clock-ratio")
	f.Float64("clock-ratio", 0, "with --lease-reads: how many times faster one node's clock may run than another's (default 1.25)")
	f.Int("cache", 0, "MiB of memory for the cache of data (default: an eighth of the memory, 64 to 4096)")
	f.Int("move-rate", 0, "MiB per second of buckets that may be copied to this node (default 8)")
	f.Bool("insecure", false, "allow listening beyond loopback without TLS")
	f.Bool("pprof", false, "serve Go's profiles at /debug/pprof also beyond loopback (on a loopback address they always are)")
	f.String("config", "", "YAML file with any of these")
	f.String("log-format", "text", "text or json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, format, err := serverConfig(c.Flags())
		if err != nil {
			return usageError{err}
		}
		tuneGC()
		return serve(config, format)
	}
	return c
}

// serverConfig combines the config file, the environment and the flags. Every value goes through its flag, so that an invalid one is
// refused wherever it is set.
func serverConfig(flags *pflag.FlagSet) (cluster.Config, string, error) {
	var known []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "config" {
			known = append(known, f.Name)
		}
	})
	path, err := flags.GetString("config")
	if err != nil {
		return cluster.Config{}, "", err
	}
	from := "--config"
	if path == "" {
		from, path = variable("config")
	}
	file, err := configFile(path, known)
	if err != nil {
		return cluster.Config{}, "", fmt.Errorf("config file %s of %s: %w", path, from, err)
	}
	for _, name := range known {
		if flags.Changed(name) {
			continue
		}
		where, value := variable(name)
		if where == "" && file.Get(name) != nil {
			where, value = "config file "+path, fmt.Sprint(file.Get(name))
			if list := file.Strings(name); len(list) > 0 {
				value = strings.Join(list, ",")
			}
		}
		if where == "" {
			continue
		}
		if err := flags.Set(name, value); err != nil {
			return cluster.Config{}, "", fmt.Errorf("%s: %w", where, err)
		}
	}
	if err := clientSeedsForServer(flags); err != nil {
		return cluster.Config{}, "", err
	}
	return fromFlags(flags)
}

func configFile(path string, known []string) (*koanf.Koanf, error) {
	k := koanf.New(".")
	if path == "" {
		return k, nil
	}
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return nil, err
	}
	for _, key := range k.Keys() {
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("unknown key %q; the keys are %s", key, strings.Join(known, " "))
		}
	}
	return k, nil
}

// clientSeedsForServer decides what ERAFT_SEEDS means for a server without seeds of its own. With --expect above 1 the server waits
// for others, and they are its seeds. Otherwise the node could form a cluster of its own or join that one: the operator must say
// which.
func clientSeedsForServer(flags *pflag.FlagSet) error {
	seeds := os.Getenv(clientSeeds)
	if flags.Changed("seeds") || seeds == "" {
		return nil
	}
	if expect, err := flags.GetInt("expect"); err != nil || expect > 1 {
		return errors.Join(err, flags.Set("seeds", seeds))
	}
	return fmt.Errorf("%s is set, which names a cluster for clients, and no seeds are named for this node: "+
		"say --seeds %s if it shall belong to that cluster, or --seeds= if it shall be one of its own", clientSeeds, seeds)
}

func fromFlags(flags *pflag.FlagSet) (c cluster.Config, format string, err error) {
	text := func(name string) string { s, e := flags.GetString(name); err = errors.Join(err, e); return s }
	whole := func(name string) int { n, e := flags.GetInt(name); err = errors.Join(err, e); return n }
	format = text("log-format")
	if format != "text" && format != "json" {
		return cluster.Config{}, "", fmt.Errorf("log-format is text or json, not %q", format)
	}
	if reserve := whole("reserve"); reserve < 0 {
		return cluster.Config{}, "", fmt.Errorf("reserve is %d MiB, but must be 0, for the default, or more", reserve)
	}
	list := func(name string) []string {
		all, e := flags.GetStringSlice(name)
		all, e2 := trimmedList(name, all)
		err = errors.Join(err, e, e2)
		return all
	}
	seeds, labels := list("seeds"), list("labels")
	replaceAfter, replaceErr := flags.GetDuration("replace-after")
	yes := func(name string) bool { b, e := flags.GetBool(name); err = errors.Join(err, e); return b }
	ratio, ratioErr := flags.GetFloat64("clock-ratio")
	c = cluster.Config{
		Name: text("name"), Dir: text("data"), Listen: text("listen"), Advertise: text("advertise"),
		Seeds: seeds, Expect: whole("expect"), RESP: text("resp"), OwnKeys: yes("own-keys"), HTTP: text("http"),
		Buckets: whole("buckets"), Groups: whole("groups"), Replicas: whole("replicas"), Insecure: yes("insecure"),
		Labels: labels, ReplaceAfter: replaceAfter, ReserveBytes: uint64(whole("reserve")) << 20,
		CacheBytes: int64(whole("cache")) << 20,
		LeaseReads: yes("lease-reads"), ClockRatio: ratio, Profiles: yes("pprof"),
		Migration: cluster.MigrationLimits{BytesPerSecond: whole("move-rate") << 20},
	}
	return c, format, errors.Join(err, replaceErr, ratioErr)
}

// closeTimeout bounds a graceful stop.
const closeTimeout = 15 * time.Second

func serve(config cluster.Config, format string) error {
	signal.Ignore(syscall.SIGPIPE) // otherwise writing a log line to a closed pipe ends the process
	syscall.Umask(0o077)           // only the owner may read what the engines write
	logs := newLogs(os.Stderr, format)
	defer logs.flush(logsFlush)
	config.Logger = logs.logger()
	for _, name := range unknownVariables(os.Environ()) {
		config.Logger.Warn("unknown environment variable", "name", name, "known", "ERAFT_SERVER_<FLAG>, see eraft server --help")
	}
	if err := setTimerSlack(); err != nil {
		config.Logger.Info("timer slack not set, slower under load: give the node CAP_SYS_NICE, see docs/OPERATIONS.md", "because", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	node, err := cluster.Start(context.Background(), config)
	if err != nil {
		if errors.As(err, new(cluster.ConfigError)) {
			return usageError{err}
		}
		return err
	}
	config.Logger.Info("listening", "nodes", node.Address(), "resp", node.RESP(), "http", node.HTTP())
	progress := time.NewTicker(200 * time.Millisecond)
	defer progress.Stop()
	began, told, said := time.Now(), time.Now(), ""
	for {
		select {
		case <-signals:
			return stop(config.Logger, node, signals)
		case <-node.Done():
			return fmt.Errorf("the node stopped: %w", node.Err())
		case <-progress.C:
			failing := strings.Join(node.Failing(), "; ")
			if failing == "" {
				config.Logger.Info("ready", "after", time.Since(began).Round(time.Millisecond).String(), "resp", node.RESP())
				progress.Stop()
			} else if failing != said && time.Since(told) > time.Second || time.Since(told) > 10*time.Second {
				told, said = time.Now(), failing
				config.Logger.Info("not ready", "because", failing)
			}
		}
	}
}

func stop(logger *slog.Logger, node *cluster.Node, again <-chan os.Signal) error {
	logger.Info("stopping: transferring leadership")
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	go func() {
		select {
		case <-again:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := node.Close(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return errors.New("stopped at once by a second signal")
		}
		return err
	}
	logger.Info("stopped")
	return nil
}
