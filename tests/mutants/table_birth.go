package main

// inBirth are bugs in who is who: how clusters are bootstrapped, and how nodes join, take places and are found again.
var inBirth = []mutant{
	{
		fault:  "a newcomer takes the place of a node whose disk a group needs",
		file:   "cluster/placement.go",
		old:    "return n.checkPlace(config, op.AddNode)",
		new:    "return nil",
		unseen: "the swarm unmounts no volumes; TestNoPlaceIsTakenThatAGroupNeeds sees it",
	},
}
