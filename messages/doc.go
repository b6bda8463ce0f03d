// Package messages is the vocabulary of eRaft: what crosses a node or reaches a disk, ID types,
// error codes, and the pure functions that everybody must agree on, such as BucketOf.
package messages

//go:generate go -C ../tools tool protogen -I ../messages -prefix eraft/messages/ errors.proto kv.proto raft.proto meta.proto shard.proto
