package console_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/cluster/console"
)

func options(failing ...string) console.Options {
	registry := prometheus.NewRegistry()
	count := prometheus.NewCounter(prometheus.CounterOpts{Name: "eraft_things_total", Help: "Things."})
	registry.MustRegister(count)
	count.Add(3)
	return console.Options{
		Listen: "127.0.0.1:0", Status: func() []byte { return []byte(`{"node":"n1"}`) },
		Failing: func() []string { return failing }, Registry: registry,
	}
}

func TestPages(t *testing.T) {
	ill := []string{"meta: group 0 has no leader", "leader: group 2 has none"}
	for _, c := range []struct {
		name, method, path string
		failing            []string
		code               int
		kind, says         string
	}{
		{"alive", "GET", "/livez", nil, 200, "text/plain", "ok\n"},
		{"alive, though it cannot serve: a restart would not help", "GET", "/livez", ill, 200, "text/plain", "ok\n"},
		{"ready", "GET", "/readyz", nil, 200, "text/plain", "ok\n"},
		{"not ready, and every reason", "GET", "/readyz", ill, 503, "text/plain", ill[0] + "\n" + ill[1] + "\n"},
		{"status", "GET", "/api/v1/status", ill, 200, "application/json", `{"node":"n1"}`},
		{"metrics", "GET", "/metrics", nil, 200, "text/plain", "eraft_things_total 3\n"},
		{"something else", "GET", "/", nil, 404, "text/plain", "/livez /readyz /metrics /api/v1/status /debug/pprof/\n"},
		{"profiles are not for other machines", "GET", "/debug/pprof/heap", nil, 403, "text/plain", "or with --pprof\n"},
		{"below a page", "GET", "/livez/x", nil, 404, "text/plain", "here are: "},
		{"nothing is changed here", "POST", "/readyz", nil, 404, "text/plain", "here are: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			console.Handler(options(c.failing...)).ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
			require.Equal(t, c.code, w.Code)
			require.Contains(t, w.Header().Get("Content-Type"), c.kind)
			require.Contains(t, w.Body.String(), c.says)
		})
	}
}

func TestListens(t *testing.T) {
	c, err := console.Start(options())
	require.NoError(t, err)
	r, err := http.Get("http://" + c.Address() + "/livez")
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, http.StatusOK, r.StatusCode)
	for _, page := range []string{"", "heap", "cmdline", "symbol", "profile?seconds=1", "trace?seconds=0.01"} { // it is on a loopback address
		r, err := http.Get("http://" + c.Address() + "/debug/pprof/" + page)
		require.NoError(t, err)
		require.NoError(t, r.Body.Close())
		require.Equal(t, http.StatusOK, r.StatusCode, page)
	}
	taken := options()
	taken.Listen = c.Address()
	_, err = console.Start(taken)
	require.ErrorContains(t, err, "is another process on that port?")
	require.NoError(t, c.Close())
	_, err = http.Get("http://" + c.Address() + "/livez")
	require.Error(t, err, "it does not listen any more")
}
