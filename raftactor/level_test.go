package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// An entry that says more than this program knows stops the replica before it is applied, with what to do.
func TestEntriesOfNewerProgramsStopTheReplica(t *testing.T) {
	of := func(e *messages.Entry, fields ...byte) *messages.Entry {
		encoded, err := proto.Marshal(e)
		require.NoError(t, err)
		got := new(messages.Entry)
		require.NoError(t, proto.Unmarshal(append(encoded, fields...), got))
		return got
	}
	a := &Applier{options: &Options{Group: 5, Level: 2}}
	require.NoError(t, a.checkSupported(of(&messages.Entry{Index: 9})))
	require.NoError(t, a.checkSupported(of(&messages.Entry{Index: 9, Level: 2, Kind: messages.EntryKind_CONF_CHANGE})))
	require.ErrorContains(t, a.checkSupported(of(&messages.Entry{Index: 9, Level: 3})),
		"entry 9 needs feature level 3, but this eraft has 2: start the eraft that ran here before, or a newer one")
	require.ErrorContains(t, a.checkSupported(of(&messages.Entry{Index: 9, Kind: 2})), "a newer eraft made it")
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 90, protowire.VarintType), 1)
	require.ErrorContains(t, a.checkSupported(of(&messages.Entry{Index: 9}, unknown...)), "a newer eraft made it")
}
