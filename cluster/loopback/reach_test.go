package loopback_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/cluster/loopback"
)

// Any address that reaches a node is its address, whatever it advertises: for seeds, in any mixture, and for clients.
func TestAnyAddressThatReaches(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	require.NoError(t, err)
	if _, err := net.LookupHost(host); err != nil {
		host = "localhost"
	}
	for name, c := range map[string]struct {
		listen    string   // without a port
		advertise string   // "": nothing
		called    []string // the seeds of each node are all nodes under the same of these names
	}{
		"seeds by name, nodes by number": {"127.0.0.1", "", []string{"localhost", "localhost", "localhost"}},
		"each by another name":           {"127.0.0.1", "", []string{"localhost", "127.0.0.1", "localhost"}},
		"listening by name":              {"localhost", "", []string{"127.0.0.1", "localhost", "127.0.0.1"}},
		"everywhere":                     {"0.0.0.0", "localhost", []string{"127.0.0.1", "127.0.0.2", host}},
		"aliases":                        {"0.0.0.0", "127.0.0.3", []string{"127.0.0.2", "127.0.0.2", "localhost"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c0 := loopback.Start(t, 3, func(i int, config *cluster.Config) {
				config.Insecure, config.Groups = true, 1
				config.Listen = net.JoinHostPort(c.listen, port(t, config.Listen))
				if c.advertise != "" {
					config.Advertise = net.JoinHostPort(c.advertise, port(t, config.Listen))
				}
				var seeds []string
				for _, seed := range config.Seeds {
					seeds = append(seeds, net.JoinHostPort(c.called[i], port(t, seed)))
				}
				config.Seeds = seeds
			})
			for i, called := range c.called {
				seed := net.JoinHostPort(called, port(t, c0.Seeds[i]))
				cl, err := client.Connect(t.Context(), client.Config{Seeds: []string{seed}})
				require.NoError(t, err, "%s reaches n%d", seed, i+1)
				_, err = cl.Put(t.Context(), []byte(fmt.Sprint("k", i)), []byte("v"))
				require.NoError(t, err)
				_, err = cl.Status(t.Context(), seed)
				require.NoError(t, err)
				require.NoError(t, cl.Close())
			}
		})
	}
}

func port(t *testing.T, address string) string {
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return port
}
