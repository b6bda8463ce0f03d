package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

// TestDamagedEntriesAreNotTaken: an entry that the Applier could not take apart must not get into a log.
func TestDamagedEntriesAreNotTaken(t *testing.T) {
	block := messages.BlockOf([]byte("command"))
	for _, c := range []struct {
		entry *messages.Entry
		whole bool
	}{
		{&messages.Entry{}, true},
		{&messages.Entry{Data: block}, true},
		{&messages.Entry{Data: block[:3]}, false},
		{&messages.Entry{Data: block[:3], Kind: messages.EntryKind_CONF_CHANGE}, true}, // no Block
	} {
		require.Equal(t, c.whole, wellFormed(&messages.RaftMessage{Entries: []*messages.Entry{{}, c.entry}}))
	}
}

// TestEntryIsMadeOfItsCommands: each recipient gets the answers to its own commands, also when all are refused.
func TestEntryIsMadeOfItsCommands(t *testing.T) {
	w := new(proposal)
	a, b := recipient{"x", "a"}, recipient{"x", "b"}
	w.add(a, []byte("1"))
	w.add(a, []byte("22"))
	w.add(b, nil)
	w.add(a, []byte("3"))
	require.Equal(t, 4, w.count)
	require.Equal(t, len(w.data), w.bytes)
	var got []string
	for i, command := range w.data.Commands() {
		to, ok := w.recipient(i)
		require.True(t, ok)
		got = append(got, to.id+string(command))
	}
	require.Equal(t, []string{"a1", "a22", "b", "a3"}, got)
}
