package main

import "slices"

// mutants are bugs that implementations of Raft and of sharded stores have had, some of them for years.
var mutants = slices.Concat(inRaft, inStore, inAnswers, inMemory, inBirth, inNetwork)
