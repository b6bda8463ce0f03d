// Package raft is the Raft consensus algorithm as a pure object: inputs are messages, ticks, proposals and what has become durable;
// outputs are messages, writes and committed entries. It has no goroutine, no clock, no disk, no network, and no randomness but that of
// Config.Rand, so the same inputs always give the same outputs. "Thesis" in comments is Diego Ongaro's "Consensus: Bridging Theory and
// Practice" (2014).
//
// # The loop
//
// A Core is one replica of one group. Its driver owns it, and repeats three steps:
//
//  1. Give it what has happened: At with the time, Tick when a tick has passed, Step with each message, Propose with data,
//     ReadIndex for a read, Persisted and Applied when the disk and the data have got on.
//  2. Call Ready, which returns everything that is to be done for these inputs.
//  3. Do it: send Ready.Send; write Ready.Persist, and when it is durable call Persisted and send Persist.After; apply Ready.Apply to the
//     data and then call Applied; answer the reads in Ready.Reads when the data has applied their index.
//
// The loop never waits for a disk. Writes and applying may be handed to others, and the driver goes on with step 1 meanwhile. What must
// not leave before a write is durable, such as a vote or the acknowledgement of entries, is in that write's Persist.After. The
// example of this package drives three Cores in one function.
//
// # From a proposal to an answer
//
//	Propose on the leader             appends an entry to the leader's log
//	Ready.Send: APPEND                goes to the followers; Ready.Persist writes the entry at the leader meanwhile
//	Step on a follower                compares logs, appends; its Ready.Persist has the entry, and in After the APPEND_REPLY
//	Persisted on a follower           the entry is durable there, and the reply leaves
//	Step on the leader                the entry is on the disks of a quorum: it is committed
//	Ready.Apply on the leader         the driver applies it and answers the client
//	APPEND or HEARTBEAT               tells the followers that it is committed: they apply it as well
//
// # Which fields a message uses
//
// All messages have kind, group, from, to and term. Besides:
//
//	APPEND            index, log_term: of the entry before entries; entries; commit: the leader's commit index; member_at
//	APPEND_REPLY      index: up to which the logs agree and the follower has its log on disk; member_at, recovering, stalled.
//	                  With reject, the logs differ at index, and hint_index, hint_term are where they may agree.
//	HEARTBEAT         commit: the leader's, but at most what it knows the follower has; read_seq: newest round of ReadIndex; quiesce;
//	                  lease_at, lease_grant: a lease is asked for; member_at
//	HEARTBEAT_REPLY   read_seq, lease_at: repeated if they are confirmed; member_at, recovering, stalled; clock_ms
//	PRE_VOTE, VOTE    index, log_term: of the candidate's last entry; commit, hint_term: its commit index and the term there; transfer.
//	                  term of a PRE_VOTE is the one that the candidate would have.
//	PRE_VOTE_REPLY,   reject, or the vote is granted; commit, hint_term: as above; clock_ms. A granted PRE_VOTE_REPLY has the term that
//	VOTE_REPLY        was asked for, a rejected one the term of its sender.
//	TIMEOUT_NOW       nothing: campaign now
//	READ_INDEX        read_seq: the token of a follower's request
//	READ_INDEX_REPLY  read_seq: that token; index: at which the read is linearizable; commit, hint_term: the leader's
//
// # Where to read on
//
//	core.go              roles and terms: Tick, Step, and the only way from one role to another
//	election.go          campaigns and votes, PreVote, transfer of leadership; when to campaign: election_backoff.go
//	replication.go       appends and commit; what a leader knows of followers: followers.go and package progress
//	log.go               the log in memory; entries that are on the disk only: disk_reads.go
//	ready.go             outputs, and the order in which things become durable; snapshots and compaction
//	conf.go              membership changes, one replica at a time or joint; majorities: package quorum
//	read_index.go        linearizable reads by a round of heartbeats; without one: lease.go
//	step_down.go         leaders that must not lead any more; groups in which nothing happens: quiesce.go
//	force.go             a group whose majority is lost for ever
//
// testdata has scenarios: each is a story in a few lines, with everything that the replicas do, and is run by the tests.
package raft
