package messages_test

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// Every limit of limits.go is on the page of limits, with the number that it has.
func TestLimitsAreOnTheirPage(t *testing.T) {
	page, err := os.ReadFile("../docs/LIMITS.md")
	require.NoError(t, err)
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "limits.go", nil, 0)
	require.NoError(t, err)
	checked, err := (&types.Config{Importer: importer.Default()}).Check("messages", set, []*ast.File{file}, nil)
	require.NoError(t, err)
	for _, name := range checked.Scope().Names() {
		limit, ok := checked.Scope().Lookup(name).(*types.Const)
		if !ok || !strings.HasPrefix(name, "Max") {
			continue
		}
		n, _ := constant.Int64Val(limit.Val())
		require.Regexp(t, regexp.MustCompile(regexp.QuoteMeta(thousands(n))+"[^|]*\\(`"+name+"`\\)"), string(page), "say in docs/LIMITS.md what %s is: %d", name, n)
	}
}

func thousands(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

func encoded(t *testing.T, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

func batch(writes int, size int) *messages.Command {
	b := &messages.Batch{}
	for range writes {
		b.Writes = append(b.Writes, &messages.Write{Op: &messages.Write_Put{Put: &messages.Put{Key: []byte("k"), Value: make([]byte, size)}}})
	}
	return &messages.Command{Op: &messages.Command_Batch{Batch: b}}
}

func swap(key, expect, value int) *messages.Command {
	return &messages.Command{Op: &messages.Command_Cas{Cas: &messages.CompareAndSwap{
		Expect: &messages.Condition{Key: make([]byte, key), Expect: &messages.Condition_Value{Value: make([]byte, expect)}}, Value: make([]byte, value),
	}}}
}

// What is at every limit may enter a log, and is an entry that can be sent; one more may not.
func TestCommandsAtTheirLimits(t *testing.T) {
	const key, value = messages.MaxKeyBytes, messages.MaxValueBytes
	put := func(k, v int) *messages.Command {
		return &messages.Command{Op: &messages.Command_Put{Put: &messages.Put{Key: make([]byte, k), Value: make([]byte, v)}}}
	}
	add := func(k, v int) *messages.Command {
		return &messages.Command{Op: &messages.Command_Append{Append: &messages.Append{Key: make([]byte, k), Value: make([]byte, v)}}}
	}
	mode := put(1, 1)
	mode.GetPut().Mode = 3
	for name, c := range map[string]struct {
		command *messages.Command
		want    messages.Code
	}{
		"put":                        {put(key, value), messages.Code_OK},
		"put: key":                   {put(key+1, value), messages.Code_TOO_LARGE},
		"put: no key":                {put(0, value), messages.Code_INVALID},
		"put: value":                 {put(key, value+1), messages.Code_TOO_LARGE},
		"put: mode":                  {mode, messages.Code_INVALID},
		"append":                     {add(key, value), messages.Code_OK},
		"append: value":              {add(key, value+1), messages.Code_TOO_LARGE},
		"swap":                       {swap(key, value, value), messages.Code_OK},
		"swap: expected value":       {swap(key, value+1, value), messages.Code_TOO_LARGE},
		"swap: value":                {swap(key, value, value+1), messages.Code_TOO_LARGE},
		"batch of many":              {batch(messages.MaxBatchOps, 16<<10-1), messages.Code_OK},
		"batch of too many":          {batch(messages.MaxBatchOps+1, 1), messages.Code_INVALID},
		"batch that is large":        {batch(2, value-1), messages.Code_OK},
		"batch that is too large":    {batch(2, value), messages.Code_TOO_LARGE},
		"batch of a too large value": {batch(1, value+1), messages.Code_TOO_LARGE},
		"nothing":                    {&messages.Command{}, messages.Code_INVALID},
	} {
		got := messages.CheckCommand(c.command)
		if c.want == messages.Code_OK {
			require.Nil(t, got, name)
			require.Nil(t, messages.CheckSize(encoded(t, c.command)), name)
		} else {
			require.NotNil(t, got, name)
			require.Equal(t, c.want, got.Code, "%s: %s", name, got.Text)
		}
	}
	require.Equal(t, messages.Code_TOO_LARGE, messages.CheckSize(make([]byte, messages.MaxCommandBytes+1)).Code)
	require.Equal(t, messages.Code_TOO_LARGE, messages.CheckQuerySize(make([]byte, messages.MaxQueryBytes+1)).Code)
}

func TestTextsAreShort(t *testing.T) {
	long := messages.Errorf(messages.Code_INVALID, "%s is wrong", strings.Repeat("\xff", 5000))
	require.LessOrEqual(t, len(long.Text), messages.MaxTextBytes)
	require.True(t, strings.HasSuffix(long.Text, "..."))
	require.Equal(t, "?", messages.Clip("\xff\xff"))
}
