package messages_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

func TestKeyDecidesWhereACommandGoes(t *testing.T) {
	k := []byte("k")
	put := &messages.Write{Op: &messages.Write_Put{Put: &messages.Put{Key: k}}}
	del := &messages.Write{Op: &messages.Write_Delete{Delete: &messages.Delete{Key: k}}}
	appended := &messages.Write{Op: &messages.Write_Append{Append: &messages.Append{Key: k}}}
	incr := &messages.Write{Op: &messages.Write_Incr{Incr: &messages.Incr{Key: k}}}
	other := &messages.Write{Op: &messages.Write_Put{Put: &messages.Put{Key: []byte("other")}}}
	batch := func(conditions []*messages.Condition, writes ...*messages.Write) *messages.Command {
		return &messages.Command{Op: &messages.Command_Batch{Batch: &messages.Batch{Conditions: conditions, Writes: writes}}}
	}
	for name, c := range map[string]*messages.Command{
		"put":                   {Op: &messages.Command_Put{Put: put.GetPut()}},
		"delete":                {Op: &messages.Command_Delete{Delete: del.GetDelete()}},
		"append":                {Op: &messages.Command_Append{Append: appended.GetAppend()}},
		"incr":                  {Op: &messages.Command_Incr{Incr: incr.GetIncr()}},
		"compare-and-swap":      {Op: &messages.Command_Cas{Cas: &messages.CompareAndSwap{Expect: &messages.Condition{Key: k}}}},
		"batch":                 batch(nil, put, other),
		"batch of deletes":      batch(nil, del, other),
		"batch of appends":      batch(nil, appended, other),
		"batch of increments":   batch(nil, incr, other),
		"batch with conditions": batch([]*messages.Condition{{Key: k}}, other),
	} {
		require.Equal(t, k, c.Key(), name)
	}
	for name, c := range map[string]*messages.Command{
		"nothing":          nil,
		"no operation":     {},
		"empty operation":  {Op: &messages.Command_Cas{}},
		"empty batch":      batch(nil),
		"batch of nothing": batch(nil, nil),
		"a write of none":  batch(nil, &messages.Write{}),
		"config command":   {Op: &messages.Command_Meta{Meta: &messages.MetaCommand{}}},
		"bucket command":   {Op: &messages.Command_Shard{Shard: &messages.ShardCommand{}}},
	} {
		require.Nil(t, c.Key(), name)
	}
}
