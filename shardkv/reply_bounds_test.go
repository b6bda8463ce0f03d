package shardkv_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// A batch whose reply could not be sent writes nothing and says so, on a retry too. A batch without a bound is in the log of an older
// program, and is applied as it was.
func TestAnswerOfABatchIsBounded(t *testing.T) {
	r := newReplica(t, 1, true)
	const keys = 6
	b := &messages.Batch{}
	for i := range keys {
		key := fmt.Sprintf("{t}%d", i)
		require.Equal(t, messages.Code_OK, r.apply(put(key, string(make([]byte, messages.MaxValueBytes)))).Code)
		write := &messages.Write{Op: &messages.Write_Put{Put: &messages.Put{Key: []byte(key), Value: []byte("new"), ReturnPrevious: true}}}
		if i%2 == 1 {
			write = &messages.Write{Op: &messages.Write_Delete{Delete: &messages.Delete{Key: []byte(key), ReturnPrevious: true}}}
		}
		b.Writes = append(b.Writes, write)
	}
	wanted := &messages.Command{Session: 5, Seq: 1, MaxReplyBytes: messages.MaxReplyBytes, Op: &messages.Command_Batch{Batch: b}}
	require.Nil(t, messages.CheckCommand(wanted))
	for range 2 {
		refused := r.apply(wanted)
		require.Equal(t, messages.Code_TOO_LARGE, refused.Code)
		require.Contains(t, refused.Text, "write 2: with it the answer is larger than 3145728 bytes")
	}
	for i := range keys {
		got, _ := r.get(fmt.Sprintf("{t}%d", i))
		require.Len(t, got, messages.MaxValueBytes, "nothing was written")
	}

	wanted.MaxReplyBytes = 0
	why := messages.CheckCommand(wanted)
	require.NotNil(t, why)
	require.Equal(t, messages.Code_TOO_LARGE, why.Code, "it enters no log any more")
	wanted.MaxReplyBytes = messages.MaxReplyBytes + 1
	require.NotNil(t, messages.CheckCommand(wanted))

	few := &messages.Command{Session: 5, Seq: 2, MaxReplyBytes: messages.MaxReplyBytes, Op: &messages.Command_Batch{Batch: &messages.Batch{Writes: b.Writes[:2]}}}
	answer := r.apply(few)
	require.Equal(t, messages.Code_OK, answer.Code, answer.Text)
	require.LessOrEqual(t, proto.Size(answer), messages.MaxReplyBytes)
	few.MaxReplyBytes = 0
	require.Nil(t, messages.CheckCommand(few), "two values are never too much")

	old := &messages.Command{Session: 5, Seq: 3, Op: &messages.Command_Batch{Batch: &messages.Batch{Writes: b.Writes[2:]}}}
	require.Equal(t, messages.Code_OK, r.apply(old).Code)
	_, found := r.get("{t}5")
	require.False(t, found)
}

// The largest page of a scan can be sent.
func TestPagesAreBounded(t *testing.T) {
	r := newReplica(t, 1, true)
	for i := range 4000 { // together just below what a page scans
		r.apply(put(fmt.Sprintf("{t}%06d", i), string(make([]byte, 245))))
	}
	r.apply(put("{t}z", string(make([]byte, messages.MaxValueBytes))))
	bucket := uint32(messages.BucketOf([]byte("{t}"), buckets))
	page := r.scan(&messages.Scan{Bucket: bucket, MaxKeys: messages.MaxScanKeys, MaxBytes: messages.MaxScanBytes, Projection: messages.Scan_PAIRS})
	require.Len(t, page.Page.Items, 4001)
	require.Greater(t, proto.Size(page), 2_000_000)
	require.LessOrEqual(t, proto.Size(page), messages.MaxReplyBytes)
}
