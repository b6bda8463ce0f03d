// Package raft is the Raft algorithm, pure: messages, ticks and acknowledgements in; messages, writes and
// committed entries out. It has no goroutine, no clock, no disk and no randomness but what Config gives it.
package raft
