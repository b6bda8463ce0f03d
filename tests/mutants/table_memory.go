package main

// inMemory are bugs that lose nothing but memory, a little at a time.
var inMemory = []mutant{
	{
		fault: "what was applied still counts as waiting",
		file:  "raftactor/proposals.go",
		old:   "\t\tq.bytes -= q.pending[0].bytes\n",
		new:   "",
	},
	{
		fault: "reads that were answered still count as waiting",
		file:  "raftactor/pending_reads.go",
		old:   "\t\tr.count, r.bytes = r.count-len(requests.Queries), r.bytes-queryBytes(requests)\n",
		new:   "",
	},
	{
		fault: "a snapshot that was sent still counts as running",
		file:  "raftactor/log_retention.go",
		old:   "if transfer.running = false; !m.ok {",
		new:   "if !m.ok {",
	},
	{
		fault: "the log is never compacted",
		file:  "raftactor/log_retention.go",
		old:   "if to < first {",
		new:   "if to > 0 {",
	},
	{
		fault: "the log behind a snapshot stays on disk for ever",
		file:  "raftactor/log_retention.go",
		old:   "\t\tlog.ReleaseDisk()\n",
		new:   "",
	},
	{
		fault: "the log behind a snapshot is deleted, but not forgotten",
		file:  "persistence/log.go",
		old:   "drop = min(drop, s.Keep)",
		new:   "drop = s.Compact.Index + 1",
	},
	{
		fault: "what has changed while a bucket was copied is noted for ever",
		file:  "shardkv/bucket.go",
		old:   "\tif b.logPosition > b.base {\n",
		new:   "\tif b.logPosition > b.base && b.state == Absent {\n",
	},
	{
		fault: "a bucket that is dropped leaves its sessions behind",
		file:  "shardkv/migration.go",
		old:   "for _, kind := range []byte{'d', 'r', 't'} {",
		new:   "for _, kind := range []byte{'d', 't'} {",
	},
	{
		fault:  "a session keeps its answers for ever",
		file:   "shardkv/session.go",
		old:    "\tt.dropFirst(s, count)\n}",
		new:    "}",
		unseen: "not tried since answers have records of their own; TestAnswersOfASessionAreBounded finds it",
	},
	{
		fault:  "a large answer is kept whole",
		file:   "shardkv/saved_reply.go",
		old:    "size <= MaxSavedReply {",
		new:    "size <= 1000*MaxSavedReply {",
		unseen: "clients of the simulator have no large answers; TestBucketWithLargeAnswersMoves finds it",
	},
	{
		fault:  "nobody counts the answers of a session",
		file:   "shardkv/session.go",
		old:    "known.bytes >= MaxSessionBytes:",
		new:    "known.bytes < 0:",
		unseen: "clients of the simulator wait for one answer at a time; TestAnswersOfASessionAreBounded finds it",
	},
	{
		fault:  "nobody counts the sessions of a group",
		file:   "shardkv/session.go",
		old:    "case t.bytes >= MaxTableBytes:",
		new:    "case t.bytes < 0:",
		unseen: "the simulator has few clients; TestTableIsBoundedInBytes finds it",
	},
	{
		fault: "an entry is not closed before it is too large",
		file:  "raftactor/proposer.go",
		old:   "if r.entry != nil && r.entry.bytes+messages.BlockSize(command) > r.entryBytes {",
		new:   "if false {",
	},
	{
		fault: "a leader proposes whatever it is sent",
		file:  "raftactor/proposer.go",
		old:   "\treturn r.checker(r.view, command)\n",
		new:   "\treturn nil\n",
	},
	{
		fault: "a batch is carried out whose answer cannot be sent",
		file:  "shardkv/command.go",
		old:   "maxReply > 0 && size > maxReply && part.Code == messages.Code_OK",
		new:   "maxReply < 0",
	},
	{
		fault: "answers that leave together are not bounded",
		file:  "raftactor/outbox.go",
		old:   "if frame.bytes > 0 && frame.bytes+size > frameBytes {",
		new:   "if false {",
	},
}
