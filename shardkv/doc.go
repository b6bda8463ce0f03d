// Package shardkv is the state machine of a shard group: keys and values, sessions, the ownership of buckets, and the
// migration of a bucket to another group. It is deterministic. It has no clock, no goroutine, no I/O of its own and no
// dependence on map order: committed commands and a store go in, writes to the store and replies come out.
//
// Machine is the entry point. The host calls New, then Open, then Apply for each committed command in log order and Flush
// once per state batch. Query and View read. All calls of one Machine come from one goroutine, that of the group's Applier.
//
// # Reading order
//
//	layout.go          the keys and values in the store
//	machine.go         Apply, Query and Flush: how a command finds its bucket and its session
//	command.go         what each client command does to a bucket
//	scan.go cursor.go  pages of a bucket
//	session.go         the session table: exactly once (begins with an essay)
//	saved_reply.go     a reply that is kept for a retry
//	session_layout.go  sessions in the store and in chunks of a migration
//	bucket.go          the state machine of a migration (begins with an essay)
//	migration.go       the commands of a migration in the group's log
//	source.go          what the source reads for the destination
//	change_log.go      what changed since a migration began
//	destination.go     how the destination takes a chunk in
//	chunk.go           a chunk: size, order of records, checksum
//	planner.go         the next step of each migration, derived from the config and the View
//	view.go            what the group's other actors may see
//
// docs/MIGRATION.md follows one bucket through both groups and through every crash.
package shardkv
