package clustertest

import (
	"fmt"

	"github.com/eraft-io/eraft/cluster"
	"github.com/eraft-io/eraft/persistence/memory"
)

// StartClone starts one more machine on a copy of a node's disks: two processes with one identity, unless the node is stopped.
func (s *Simulation) StartClone(of *SimNode, copied [2]*memory.Engine) *SimNode {
	m := s.addMachine()
	m.disks, m.seeds = copied, of.seeds
	m.configure = []func(*cluster.Config){func(c *cluster.Config) { c.Name = fmt.Sprintf("n%d", of.number) }}
	m.Start()
	return m
}
