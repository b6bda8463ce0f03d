package cluster

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/actors/remoting"
	"github.com/eraft-io/eraft/messages"
)

// metrics are the Prometheus metrics of one node. Nothing in them is global, so that one process can run many nodes.
// docs/METRICS.md lists them.
type metrics struct {
	registry *prometheus.Registry
	node     *node
	events   *prometheus.CounterVec
	commands *prometheus.CounterVec
	sync     prometheus.Histogram
	commits  prometheus.Histogram
	saves    prometheus.Histogram
	bytes    prometheus.Counter
	migrated prometheus.Counter
	refused  *prometheus.CounterVec
	requests *prometheus.HistogramVec
	ready    *prometheus.Desc
	disk     *prometheus.Desc
	replica  *prometheus.Desc
	held     *prometheus.Desc
	leads    *prometheus.Desc
	queue    *prometheus.Desc
	dropped  *prometheus.Desc
}

func newMetrics(n *node) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(), node: n,
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eraft_events_total", Help: "Events, by name.",
		}, []string{"event"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eraft_resp_commands_total", Help: "RESP commands answered, by name and whether they were done.",
		}, []string{"command", "done"}),
		sync: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eraft_log_sync_seconds", Help: "Time of one synced write of the Raft logs.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14),
		}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eraft_raft_commit_seconds", Help: "Time from the proposal of an entry to its commit, of groups that this node leads.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17),
		}),
		saves: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "eraft_log_batch_saves", Help: "Saves of all groups that shared one write.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "eraft_log_bytes_total", Help: "Bytes written to the Raft logs."}),
		migrated: prometheus.NewCounter(prometheus.CounterOpts{Name: "eraft_migration_bytes_total", Help: "Bytes of migrated buckets received by groups that this node leads."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eraft_connections_refused_total", Help: "Connections above what the process may open files for, by listener.",
		}, []string{"listener"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "eraft_request_seconds", Help: "Time until a request of a Redis client was answered by the cluster, tries and waits included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17),
		}, []string{"kind", "code"}),
		ready:   prometheus.NewDesc("eraft_ready", "1 when this node can serve, as /readyz says.", nil, nil),
		disk:    prometheus.NewDesc("eraft_disk_bytes", "Bytes of this node's files, and of their file system.", []string{"of"}, nil),
		replica: prometheus.NewDesc("eraft_raft_index", "Term and indexes of this node's replicas.", []string{"group", "of"}, nil),
		held:    prometheus.NewDesc("eraft_raft_held", "Memory of this node's replicas: bytes, or counts.", []string{"group", "of"}, nil),
		leads:   prometheus.NewDesc("eraft_raft_leads", "1 where this node leads the group.", []string{"group"}, nil),
		queue:   prometheus.NewDesc("eraft_peer_queue", "Messages queued for another node, or their bytes.", []string{"peer", "of"}, nil),
		dropped: prometheus.NewDesc("eraft_peer_dropped_total", "Messages to another node that were dropped before they were sent.", []string{"peer"}, nil),
	}
	m.registry.MustRegister(m.events, m.commands, m.sync, m.commits, m.saves, m.bytes, m.migrated, m.refused, m.requests, buildInfo(n), m,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Event counts an event.
func (m *metrics) Event(e actors.Event) { m.events.WithLabelValues(e.EventName()).Inc() }

// Command counts a RESP command.
func (m *metrics) Command(name string, ok bool) {
	m.commands.WithLabelValues(name, strconv.FormatBool(ok)).Inc()
}

// buildInfo is a gauge of value 1 whose labels describe the build.
func buildInfo(n *node) prometheus.Collector {
	b := BuildOf()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "eraft_build_info", Help: "1; the labels describe the build.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go, "level": strconv.Itoa(int(n.level()))},
	})
	info.Set(1)
	return info
}

// Request observes the duration of a request and its result.
func (m *metrics) Request(op proto.Message, code messages.Code, took time.Duration) {
	kind := "write"
	switch op.(type) {
	case *messages.Get, *messages.Scan:
		kind = "read"
	case *messages.MetaCommand, *messages.MetaQuery:
		kind = "config"
	}
	m.requests.WithLabelValues(kind, code.String()).Observe(took.Seconds())
}

// Refused counts a connection above a listener's limit.
func (m *metrics) Refused(listener string) { m.refused.WithLabelValues(listener).Inc() }

// Migrated counts the bytes of one imported chunk of a bucket.
func (m *metrics) Migrated(bytes int) { m.migrated.Add(float64(bytes)) }

// Commit observes the time from the proposal of an entry to its commit.
func (m *metrics) Commit(took time.Duration) { m.commits.Observe(took.Seconds()) }

// Sync observes one synced write of the log Writer: bytes, saves that shared it, and its duration.
func (m *metrics) Sync(bytes, saves int, took time.Duration) {
	m.bytes.Add(float64(bytes))
	m.saves.Observe(float64(saves))
	m.sync.Observe(took.Seconds())
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	to <- m.ready
	to <- m.disk
	to <- m.replica
	to <- m.held
	to <- m.leads
	to <- m.queue
	to <- m.dropped
}

// Collect implements prometheus.Collector from the status board: a scrape sends no message to an actor.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	s, ready := m.node.status.snapshot(), 0.0
	if len(failing(s)) == 0 {
		ready = 1
	}
	to <- prometheus.MustNewConstMetric(m.ready, prometheus.GaugeValue, ready)
	for of, bytes := range s.disk {
		to <- prometheus.MustNewConstMetric(m.disk, prometheus.GaugeValue, float64(bytes), of)
	}
	for group, r := range s.replicas {
		g := group.String()
		for of, v := range map[string]uint64{"term": r.Term, "commit": r.Commit, "applied": r.Applied, "first": r.First, "last": r.Last} {
			to <- prometheus.MustNewConstMetric(m.replica, prometheus.GaugeValue, float64(v), g, of)
		}
		for of, v := range map[string]uint64{
			"log_bytes": r.LogBytes, "pending_bytes": r.PendingBytes, "pending_reads": r.PendingReads, "snapshots_sending": r.SnapshotsSending,
		} {
			to <- prometheus.MustNewConstMetric(m.held, prometheus.GaugeValue, float64(v), g, of)
		}
		leads := 0.0
		if r.Leader != 0 && messages.NodeID(r.Leader) == m.node.identity().Node {
			leads = 1
		}
		to <- prometheus.MustNewConstMetric(m.leads, prometheus.GaugeValue, leads, g)
	}
	if network, ok := m.node.network.(*remoting.Network); ok {
		for address, p := range network.Peers() {
			to <- prometheus.MustNewConstMetric(m.queue, prometheus.GaugeValue, float64(p.Messages), address, "messages")
			to <- prometheus.MustNewConstMetric(m.queue, prometheus.GaugeValue, float64(p.Bytes), address, "bytes")
			to <- prometheus.MustNewConstMetric(m.dropped, prometheus.CounterValue, float64(p.Dropped), address)
		}
	}
}
