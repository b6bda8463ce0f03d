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
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/eraft-io/eraft/cluster"
)

func serverCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "server", Short: "Run a node: the same command for its first start and for every restart",
		Long: "Run a node. Every flag is also a key of the config file and ERAFT_<FLAG> in the environment;\n" +
			"flags win over the environment, and that over the file.",
		Args: exactly(0, 0, "no arguments"),
	}
	f := c.Flags()
	f.String("name", "", "unique name of the node (default: the host name)")
	f.String("data", "", "data directory, made if absent")
	f.String("listen", "127.0.0.1:7400", "host:port for nodes and Go clients")
	f.String("advertise", "", "host:port at which others reach --listen (default: the same)")
	f.StringSlice("seeds", nil, "host:port of nodes to ask for a cluster; the same list on every node")
	f.Int("expect", 0, "nodes that must meet before a new cluster is born (default: number of seeds, or 1)")
	f.String("resp", "", "host:port for Redis clients")
	f.String("http", "", "host:port for health, metrics and status")
	f.Int("buckets", 0, "buckets of a new cluster, fixed for ever (default 256)")
	f.Int("groups", 0, "shard groups of a new cluster (default: as many as nodes)")
	f.Int("replicas", 0, "replicas per group of a new cluster (default 3)")
	f.StringSlice("labels", nil, "key=value,… of this node; replicas are spread over the values of zone")
	f.Int("reserve", 0, "MiB of the disk to keep free: with less only deletes and reads are taken (default: a tenth of it, 256 to 1024)")
	f.Duration("replace-after", 10*time.Minute, "replace a node that is silent for so long")
	f.Bool("lease-reads", false, "leaders answer reads without asking a quorum; needs clocks of bounded drift, see --clock-ratio")
	f.Float64("clock-ratio", 0, "with --lease-reads: how many times faster one node's clock may run than another's (default 1.25)")
	f.Int("cache", 0, "MiB of memory for data that is read often (default: an eighth of the memory, 64 to 4096)")
	f.Int("move-rate", 0, "MiB per second of buckets that may be copied to this node (default 8)")
	f.Bool("insecure", false, "allow listening beyond loopback without TLS")
	f.String("config", "", "YAML file with any of these")
	f.String("log-format", "text", "text or json")
	c.RunE = func(c *cobra.Command, _ []string) error {
		config, format, err := serverConfig(c.Flags())
		if err != nil {
			return usageError{err}
		}
		collectSeldom()
		return serve(config, format)
	}
	return c
}

// serverConfig lays file, environment and flags over each other.
func serverConfig(flags *pflag.FlagSet) (cluster.Config, string, error) {
	k := koanf.New(".")
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
	if path == "" {
		path = os.Getenv("ERAFT_CONFIG")
	}
	if path != "" {
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return cluster.Config{}, "", fmt.Errorf("config file %s: %w", path, err)
		}
		for _, key := range k.Keys() {
			if !slices.Contains(known, key) {
				return cluster.Config{}, "", fmt.Errorf("config file %s: unknown key %q; the keys are %s", path, key, strings.Join(known, " "))
			}
		}
	}
	environment := env.Provider(".", env.Opt{Prefix: "ERAFT_", TransformFunc: func(key, value string) (string, any) {
		key = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(key, "ERAFT_")), "_", "-")
		if key == "seeds" || key == "labels" {
			return key, strings.Split(value, ",")
		}
		return key, value
	}})
	if err := k.Load(environment, nil); err != nil {
		return cluster.Config{}, "", fmt.Errorf("environment: %w", err)
	}
	if err := lay(flags, known, k); err != nil {
		return cluster.Config{}, "", err
	}
	return fromFlags(flags)
}

// lay gives each flag that was not said the value of the file or the environment: the flag itself reads it, so
// what is no number is refused wherever it stands.
func lay(flags *pflag.FlagSet, known []string, k *koanf.Koanf) error {
	for _, name := range known {
		if flags.Changed(name) || k.Get(name) == nil {
			continue
		}
		value := fmt.Sprint(k.Get(name))
		if list := k.Strings(name); len(list) > 0 {
			value = strings.Join(list, ",")
		}
		if err := flags.Set(name, value); err != nil {
			return fmt.Errorf("config file or environment: %w", err)
		}
	}
	return nil
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
	seeds, seedsErr := flags.GetStringSlice("seeds")
	labels, labelsErr := flags.GetStringSlice("labels")
	replaceAfter, replaceErr := flags.GetDuration("replace-after")
	if len(labels) == 0 {
		labels = nil
	}
	insecure, insecureErr := flags.GetBool("insecure")
	leases, leasesErr := flags.GetBool("lease-reads")
	ratio, ratioErr := flags.GetFloat64("clock-ratio")
	c = cluster.Config{
		Name: text("name"), Dir: text("data"), Listen: text("listen"), Advertise: text("advertise"),
		Seeds: seeds, Expect: whole("expect"), RESP: text("resp"), HTTP: text("http"),
		Buckets: whole("buckets"), Groups: whole("groups"), Replicas: whole("replicas"), Insecure: insecure,
		Labels: labels, ReplaceAfter: replaceAfter, ReserveBytes: uint64(whole("reserve")) << 20,
		CacheBytes: int64(whole("cache")) << 20,
		LeaseReads: leases, ClockRatio: ratio,
		HandOver: cluster.HandOverLimits{BytesPerSecond: whole("move-rate") << 20},
	}
	return c, format, errors.Join(err, seedsErr, insecureErr, labelsErr, replaceErr, leasesErr, ratioErr)
}

// closeTimeout bounds a graceful stop.
const closeTimeout = 15 * time.Second

func serve(config cluster.Config, format string) error {
	var handler slog.Handler = slog.NewTextHandler(os.Stderr, nil)
	if format == "json" {
		handler = slog.NewJSONHandler(os.Stderr, nil)
	}
	config.Logger = slog.New(handler)
	if err := calmSysmon(); err != nil {
		config.Logger.Info("slower than it could be: give the node CAP_SYS_NICE, see docs/OPERATIONS.md", "because", err)
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
	logger.Info("stopping: handing leadership over")
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
