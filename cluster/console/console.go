// Package console is a node's HTTP face: health, metrics and status. It only reads.
package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options of a Console.
type Options struct {
	Listen   string
	Status   func() []byte   // the status document, JSON
	Failing  func() []string // why the node cannot serve, by name; empty: it can
	Registry prometheus.Gatherer
	Bound    func(net.Listener) net.Listener // optional; bounds the connections
	Profiles bool                            // serve Go's profiles also to other machines
}

// Console is an HTTP listener.
type Console struct {
	server   *http.Server
	listener net.Listener
	served   sync.WaitGroup
}

// Start listens.
func Start(o Options) (*Console, error) {
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("http: %w: is another process on that port?", err)
	}
	if at, ok := listener.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
		o.Profiles = true
	}
	if o.Bound != nil {
		listener = o.Bound(listener)
	}
	c := &Console{listener: listener, server: &http.Server{
		Handler: Handler(o), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: writeTimeout, IdleTimeout: time.Minute,
	}}
	c.served.Go(func() {
		if err := c.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return // the listener is gone; readiness probes will tell
		}
	})
	return c, nil
}

// Address is where it listens.
func (c *Console) Address() string { return c.listener.Addr().String() }

// Close waits shortly for running requests.
func (c *Console) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := c.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) { // connections that have never said anything, or take long
		err = c.server.Close()
	}
	c.served.Wait()
	return err
}

// Handler serves the pages.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	text := func(w http.ResponseWriter, code int, lines ...string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		fmt.Fprintln(w, strings.Join(lines, "\n"))
	}
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if failing := o.Failing(); len(failing) > 0 {
			text(w, http.StatusServiceUnavailable, failing...)
			return
		}
		text(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(o.Status()); err != nil {
			return // the reader is gone
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", func(w http.ResponseWriter, r *http.Request) {
		if !o.Profiles {
			text(w, http.StatusForbidden, "profiles are served on a loopback address, or with --pprof")
			return
		}
		profile(w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusNotFound, "here are: /livez /readyz /metrics /api/v1/status /debug/pprof/")
	})
	return mux
}

// writeTimeout is more than a profile takes that asks for no other time.
const writeTimeout = time.Minute

func profile(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/debug/pprof/cmdline":
		pprof.Cmdline(w, r)
	case "/debug/pprof/profile":
		pprof.Profile(w, r)
	case "/debug/pprof/symbol":
		pprof.Symbol(w, r)
	case "/debug/pprof/trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
