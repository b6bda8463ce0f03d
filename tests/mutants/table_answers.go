package main

// inAnswers are bugs of who asks for more than there is room for.
var inAnswers = []mutant{
	{
		fault: "the room of an answer is never given back",
		file:  "router/reply_window.go",
		old:   "\t\tw.inFlight -= budget\n",
		new:   "",
	},
	{
		fault: "who hears that an answer is larger takes it for a refusal",
		file:  "router/session_replies.go",
		old:   "case reply.NeededBytes > 0 && !r.command:",
		new:   "case reply.NeededBytes > 0 && r.command:",
	},
	{
		fault:  "reads that are left to the next turn still count when they are answered",
		file:   "raftactor/reads.go",
		old:    "\t\t\ta.reads.count, a.reads.bytes = a.reads.count-1, a.reads.bytes-len(requests.Queries[n])\n",
		new:    "",
		unseen: "a run has not reads enough; TestDrainIsBoundedForEachSession sees it",
	},
	{
		fault:  "an answer is sent whatever room there is for it",
		file:   "raftactor/reads.go",
		old:    "uint64(bytes) <= room {",
		new:    "bytes > 0 {",
		unseen: "memory of sessions is not judged; TestAnswersAreNoLargerThanTheRoomForThem sees it",
	},
	{
		fault:  "all reads of a session are answered in one turn",
		file:   "raftactor/reads.go",
		old:    "spent < a.options.Limits.AnswerBytes &&",
		new:    "spent >= 0 &&",
		unseen: "memory of a turn is not judged; TestDrainIsBoundedForEachSession sees it",
	},
	{
		fault:  "a cursor that is not remembered begins its bucket again",
		file:   "shardkv/cursor.go",
		old:    "\t\tif fingerprint(key) == s.Cursor {",
		new:    "\t\tif fingerprint(key) > 0 {",
		unseen: "no key is missed, and the simulator's buckets are small; TestCursorsFindTheirPlace sees it",
	},
	{
		fault: "a page begins behind the key of its cursor",
		file:  "shardkv/scan.go",
		old:   "\t\tfrom = dataKey(s.Bucket, key)",
		new:   "\t\tfrom = append(dataKey(s.Bucket, key), 0)",
	},
	{
		fault:  "a cursor that is looked for is not looked for behind what was looked at",
		file:   "shardkv/cursor.go",
		old:    "low = append(dataKey(s.Bucket, s.After), 0)",
		new:    "low = dataKey(s.Bucket, nil)",
		unseen: "the simulator's buckets are one page; TestCursorsAreLookedForInSteps sees it",
	},
}
