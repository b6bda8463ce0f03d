package shardkv_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/shardkv"
)

// A field of a newer program in a command is refused before the log, and stops a replica that finds it there. In an entry of a cluster
// without levels it is ignored, as the replicas did that applied it.
func TestUnknownFieldsAreNotIgnored(t *testing.T) {
	r := newReplica(t, 1, true)
	body, err := proto.Marshal(&messages.Put{Key: []byte("k"), Value: []byte("v")})
	require.NoError(t, err)
	body = protowire.AppendVarint(protowire.AppendTag(body, 90, protowire.VarintType), 1)
	command := protowire.AppendBytes(protowire.AppendTag(nil, 10, protowire.BytesType), body)

	why := shardkv.Checker(nil, command)
	require.Equal(t, messages.Code_INVALID, why.Code)
	require.Contains(t, why.Text, "field 90 of eraft.Put is not known here: a newer eraft made it")
	_, err = r.m.Apply(tx{r.engine, r.engine, t}, persistence.Position{Index: 9, Level: 2}, command)
	require.ErrorContains(t, err, "field 90 of eraft.Put is not known here: a newer eraft made it")
	_, found := r.get("k")
	require.False(t, found)

	reply, err := r.m.Apply(tx{r.engine, r.engine, t}, persistence.Position{Index: 10, Level: 1}, command)
	require.NoError(t, err)
	require.NoError(t, reply.Err())
	_, found = r.get("k")
	require.True(t, found)
}
