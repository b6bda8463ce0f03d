package cluster

import (
	"fmt"
	"net"
	"os"
	"runtime"
	gometrics "runtime/metrics"
	"strings"
	"syscall"
	"time"

	"github.com/eraft-io/eraft/router/gateway"
)

// info returns the sections of INFO over RESP beside the keyspace: those of Redis' fields that have a meaning here.
func (n *node) info(g *gateway.Gateway) []gateway.Section {
	s, stats := n.status.snapshot(), g.Stats()
	loading := 0
	if s.config == nil {
		loading = 1
	}
	_, port, err := net.SplitHostPort(g.Address())
	if err != nil {
		port = "0"
	}
	up := int(time.Since(stats.Since).Seconds())
	usage, memory := cpuTime(), memoryInUse()
	return []gateway.Section{
		section("Server", "redis_version", gateway.Version, "redis_mode", "cluster", "os", runtime.GOOS+" "+runtime.GOARCH, "arch_bits", 64,
			"process_id", os.Getpid(), "run_id", fmt.Sprintf("%016x%024x", uint64(s.identity.Cluster), uint64(s.identity.Node)), "tcp_port", port,
			"server_time_usec", time.Now().UnixMicro(), "uptime_in_seconds", up, "uptime_in_days", up/86400),
		section("Clients", "connected_clients", stats.Clients, "maxclients", stats.MaxClients, "blocked_clients", 0),
		section("Memory", "used_memory", memory, "used_memory_human", fmt.Sprintf("%.2fM", float64(memory)/(1<<20)), "maxmemory", 0,
			"maxmemory_policy", "noeviction"),
		section("Persistence", "loading", loading, "async_loading", 0, "rdb_bgsave_in_progress", 0, "aof_enabled", 1, "aof_rewrite_in_progress", 0),
		section("Stats", "total_connections_received", stats.Connections, "total_commands_processed", stats.Commands,
			"total_net_input_bytes", stats.InputBytes, "total_net_output_bytes", stats.OutputBytes,
			"rejected_connections", stats.Rejected, "expired_keys", 0, "evicted_keys", 0, "total_error_replies", stats.Errors),
		section("Replication", "role", "master", "connected_slaves", 0),
		section("CPU", "used_cpu_sys", seconds(usage.Stime), "used_cpu_user", seconds(usage.Utime)),
		section("Cluster", "cluster_enabled", 1),
		section("Eraft", "eraft_node", n.config.Name, "cluster_id", fmt.Sprintf("%016x", uint64(s.identity.Cluster)), "node_id", uint64(s.identity.Node),
			"config_version", s.config.GetVersion(), "groups", len(s.config.GetGroups())),
	}
}

// section formats names and values as Redis' INFO does.
func section(name string, pairs ...any) gateway.Section {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "%v:%v\r\n", pairs[i], pairs[i+1])
	}
	return gateway.Section{Name: name, Text: b.String()}
}

func cpuTime() (u syscall.Rusage) {
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return u
}

func seconds(t syscall.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }

// memoryInUse returns the bytes of memory that Go's runtime holds and has not released to the system.
func memoryInUse() uint64 {
	samples := []gometrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	gometrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
