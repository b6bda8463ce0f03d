package main

// mutants are bugs that implementations of Raft and of sharded stores have had, some of them for years.
var mutants = []mutant{
	{
		fault: "a follower acknowledges entries before its disk has them",
		file:  "raftactor/raft/replication.go",
		old:   "\t\tc.commitTo(min(m.Commit, last))\n\t}\n\tc.out.later(reply)",
		new:   "\t\tc.commitTo(min(m.Commit, last))\n\t}\n\tc.out.now(reply)",
	},
	{
		fault: "a leader counts its own entries before its disk has them",
		file:  "raftactor/raft/replication.go",
		old:   "\t\t\treturn c.log.durable\n",
		new:   "\t\t\treturn c.log.last()\n",
	},
	{
		fault: "a vote is forgotten over a restart",
		file:  "raftactor/raft/core.go",
		old:   "max(hard.GetTerm(), c.log.lastTerm()), hard.GetVote()",
		new:   "max(hard.GetTerm(), c.log.lastTerm()), uint64(0)",
	},
	{
		fault: "half of the voters are a quorum",
		file:  "raftactor/raft/quorum.go",
		old:   "{ return n/2 + 1 }",
		new:   "{ return (n + 1) / 2 - n%2*(n/3) }",
	},
	{
		fault: "a retried command is carried out again",
		file:  "shardkv/machine.go",
		old:   "known != nil {",
		new:   "known != nil && c.Seq == 0 {",
	},
}
