package main

// inBirth are bugs in who is who: how clusters are bootstrapped, and how nodes join, take places and are found again.
var inBirth = []mutant{
	{
		fault: "a node that has heard of a cluster says that there is none",
		file:  "cluster/discovery.go",
		old:   "r.inProgress || len(r.clusters) > 0",
		new:   "r.inProgress",
	},
	{
		fault:  "a node that is admitted keeps the config only when it serves",
		file:   "cluster/host.go",
		old:    "if err := persistence.SaveConfig(h.n.logEngine, m.config); err != nil {",
		new:    "if err := error(nil); err != nil {",
		unseen: "all nodes of a run have seeds that lead to others; TestAdmissionAndPowerLoss sees it",
	},
	{
		fault:  "a node that was removed long ago goes on",
		file:   "meta/change.go",
		old:    "return id < config.GetNextNodeId()",
		new:    "return false",
		unseen: "no run removes 64 nodes; TestRemovedNodesAreForgotten sees it",
	},
	{
		fault:  "an address is taken for who is there",
		file:   "meta/check_node.go",
		old:    "elsewhere := config.FeatureLevel() >= deltaLevel",
		new:    "elsewhere := config.FeatureLevel() > 1<<20",
		unseen: "the swarm gives no node the address of another one; TestAddressesAreHandedRound sees it",
	},
	{
		fault:  "a config command that was done is refused when it is asked again",
		file:   "meta/check.go",
		old:    "if current.Answered(command) {",
		new:    "if current == nil {",
		unseen: "no oracle knows whether a refusal is right; TestRetriedConfigCommandsAreDone sees it",
	},
	{
		fault:  "an older boot's address counts",
		file:   "router/address_book.go",
		old:    "was != nil && was.Epoch >= a.Epoch",
		new:    "was != nil && was.Epoch == a.Epoch",
		unseen: "TestAddressBook sees it",
	},
	{
		fault: "only the config says where nodes are",
		file:  "router/address_book.go",
		old:   "if a := b.newer[node]; a != nil {",
		new:   "if a := b.newer[node]; a != nil && node == 0 {",
	},
	{
		fault:  "a bootstrap candidate is forgotten when it pauses",
		file:   "cluster/discovery.go",
		old:    "return !p.BootstrapCandidate && now-p.lastHeard >= replyLifetime",
		new:    "return now-p.lastHeard >= replyLifetime",
		unseen: "runs begin with nodes that all name each other; TestOneClusterIsBootstrapped sees it",
	},
	{
		fault:  "a restart forgets the bootstrap candidates",
		file:   "cluster/discovery.go",
		old:    "for _, n := range noted {",
		new:    "for _, n := range noted[:0] {",
		unseen: "runs begin with nodes that all name each other; TestOneClusterIsBootstrapped sees it",
	},
	{
		fault:  "a node bootstraps before the others have recorded it as a candidate",
		file:   "cluster/discovery.go",
		old:    "\t\tcase !p.noted:",
		new:    "\t\tcase !p.noted && now < 0:",
		unseen: "runs begin with nodes that all name each other; TestOneClusterIsBootstrapped sees it",
	},
	{
		fault:  "any node bootstraps a cluster, not the one with the lowest token",
		file:   "cluster/discovery.go",
		old:    "case p.BootstrapCandidate && p.DirectoryToken < r.self.DirectoryToken:",
		new:    "case p.BootstrapCandidate && p.DirectoryToken < r.self.DirectoryToken && now < 0:",
		unseen: "TestOneClusterIsBootstrapped sees it at once",
	},
	{
		fault: "a newcomer takes the place of a node whose disk a group needs",
		file:  "cluster/proposal_checks.go",
		old:   "return c.replacement(config, op.AddNode)",
		new:   "return nil",
	},
}
