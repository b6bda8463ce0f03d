package persistence_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/persistence"
)

// records shows a batch as text.
type records []string

func (r *records) Put(key, value []byte) { *r = append(*r, fmt.Sprintf("put %s=%s", key, value)) }
func (r *records) Delete(key []byte)     { *r = append(*r, fmt.Sprintf("delete %s", key)) }
func (r *records) DeleteRange(low, high []byte) {
	*r = append(*r, fmt.Sprintf("delete %s-%s", low, high))
}

func TestPutInPlace(t *testing.T) {
	word := func(w string) func([]byte) ([]byte, error) {
		return func(to []byte) ([]byte, error) { return append(to, w...), nil }
	}
	fail := func([]byte) ([]byte, error) { return nil, errors.New("cannot be encoded") }
	for _, before := range []int{0, 1} {
		var b persistence.Batch
		want := records(nil)
		if before == 1 {
			b.Delete([]byte("old"))
			want = append(want, "delete old")
		}
		require.ErrorContains(t, b.PutInPlace([]byte("k"), 3, fail), "cannot be encoded")
		require.ErrorContains(t, b.PutInPlace([]byte("k"), 3, word("four")), "3 bytes became 4")
		require.Equal(t, before, b.Len())
		require.NoError(t, b.PutInPlace([]byte("k"), 5, word("value")))
		b.Put([]byte("l"), []byte("x"))
		require.Len(t, b.Encoded(), b.Bytes())
		got := records(nil)
		require.NoError(t, b.Each(&got))
		require.Equal(t, append(want, "put k=value", "put l=x"), got)

		var plain persistence.Batch
		if before == 1 {
			plain.Delete([]byte("old"))
		}
		plain.Put([]byte("k"), []byte("value"))
		plain.Put([]byte("l"), []byte("x"))
		require.True(t, bytes.Equal(plain.Encoded(), b.Encoded()))
	}
}
