package clustertest

import (
	"fmt"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/persistence/memory"
)

// Twin starts one more machine on a copy of a node's disks: then two hold one identity, unless the node is dead.
func (s *Simulation) Twin(of *Member, copied [2]*memory.Engine) *Member {
	m := s.host()
	m.disks, m.seeds = copied, of.seeds
	m.configure = []func(*cluster.Config){func(c *cluster.Config) { c.Name = fmt.Sprintf("n%d", of.number) }}
	m.Start()
	return m
}
