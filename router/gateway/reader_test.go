package gateway

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// piped is a reader of what is written to it, in pieces of so many bytes.
func piped(t *testing.T, room *byteBudget, text string, piece int) *reader {
	server, cl := net.Pipe()
	t.Cleanup(func() { server.Close() })
	go func() {
		defer cl.Close()
		for len(text) > 0 {
			n := min(piece, len(text))
			if _, err := io.WriteString(cl, text[:n]); err != nil {
				return
			}
			text = text[n:]
		}
	}()
	return newReader(server, room)
}

func everything(r *reader) (all []string, err error) {
	for {
		batch, err := readBatch(r)
		for _, w := range batch {
			all = append(all, fmt.Sprintf("%q%s", w.args, w.refused))
		}
		if err != nil {
			return all, err
		}
		r.release(true)
	}
}

func resp(args ...string) string {
	text := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	return text
}

// However a stream is divided, its commands are the same.
func TestReaderParsesCommands(t *testing.T) {
	long := strings.Repeat("x", maxBuffer+5)
	for _, c := range []struct {
		name, text string
		want       []string
		end        string
	}{
		{"two", resp("GET", "k") + resp("SET", "k", "a\r\nb"), []string{`["GET" "k"]`, `["SET" "k" "a\r\nb"]`}, "EOF"},
		{"by hand", "PING\r\n\r\n  \n get  'a b' \n", []string{`["PING"]`, `["get" "a b"]`}, "EOF"},
		{"quotes", `set "a \" \n" '\'' ""` + "\t'b\"'\r\n", []string{`["set" "a \" \n" "'" "" "b\""]`}, "EOF"},
		{"an empty argument", resp("ECHO", ""), []string{`["ECHO" ""]`}, "EOF"},
		{"no arguments at all", "*0\r\n*-1\r\n" + resp("PING"), []string{`["PING"]`}, "EOF"},
		{"longer than the buffer", resp("SET", "k", long) + resp("PING"), []string{fmt.Sprintf("%q", []string{"SET", "k", long}), `["PING"]`}, "EOF"},
		{"cut off", resp("PING") + "*2\r\n$3\r\nGE", []string{`["PING"]`}, "EOF"},
		{"larger than anything", "*2\r\n$4\r\nECHO\r\n$3000000\r\n" + strings.Repeat("x", 3000000) + "\r\n" + resp("PING"),
			[]string{`["ECHO"]ERR argument is 3000000 bytes long; 2097152 is the most`, `["PING"]`}, "EOF"},
		{"no length", resp("PING") + "*x\r\n", []string{`["PING"]`}, "invalid multibulk length"},
		{"too many", "*99999999999\r\n", nil, "invalid multibulk length"},
		{"no bulk", "*1\r\n:1\r\n", nil, "expected '$', got ':'"},
		{"below nothing", "*1\r\n$-5\r\n", nil, "invalid bulk length"},
		{"too long", "*2\r\n$3\r\nGET\r\n$99999999999\r\n", nil, "invalid bulk length"},
		{"longer than it says", "*1\r\n$2\r\nPING\r\n", nil, "expected CRLF"},
		{"an open quote", "get 'a\r\n", nil, "unbalanced quotes"},
		{"a quote inside a word", "get a'b' c\"d\"\r\n", []string{`["get" "ab" "cd"]`}, "EOF"},
		{"escapes", `a "\x41\xg\x4" 'it\nx\'s' "\a\b\n\r\t\q\""` + "\r\n", []string{`["a" "Axgx4" "it\\nx's" "\a\b\n\r\tq\""]`}, "EOF"},
		{"a word ends at a return", "ping\rx\r\n\vping a\vb\r\n", []string{`["ping" "x"]`, `["ping" "a\vb"]`}, "EOF"},
		{"not the way to write a number", "*+1\r\n", nil, "invalid multibulk length"},
		{"a length with a zero in front", "*1\r\n$04\r\nPING\r\n", nil, "invalid bulk length"},
		{"lines that end by hand", "*1\n$4\nPING\n", nil, "invalid multibulk length"},
		{"a quote that ends before its word", "get 'a'b\r\n", nil, "unbalanced quotes"},
		{"the name is larger than anything", "*2\r\n$3000000\r\n" + strings.Repeat("x", 3000000) + "\r\n$1\r\nk\r\n" + resp("PING"),
			[]string{`[""]ERR argument is 3000000 bytes long; 2097152 is the most`, `["PING"]`}, "EOF"},
		{"no end of a line", long, nil, "too big inline request"},
	} {
		for _, piece := range []int{1, 3, 100000} {
			if piece < 10 && len(c.text) > 1<<20 {
				continue
			}
			t.Run(fmt.Sprint(c.name, piece), func(t *testing.T) {
				got, err := everything(piped(t, newByteBudget(commandBytes), c.text, piece))
				require.Equal(t, c.want, got)
				require.ErrorContains(t, err, c.end)
			})
		}
	}
}

// A large command is read only when there is budget, and refused if there is none for a while; the commands behind it are not lost.
func TestReaderNeedsBudget(t *testing.T) {
	space := newByteBudget(90 << 10)
	value := strings.Repeat("x", 64<<10)
	text := resp("PING") + resp("SET", "k", value) + resp("PING")
	first := piped(t, space, text, 100000)
	batch, err := readBatch(first)
	require.NoError(t, err)
	require.Len(t, batch, 1, "what needs room does not go along with others")
	batch, err = readBatch(first)
	require.NoError(t, err)
	require.Len(t, batch, 2)
	require.Len(t, batch[0].args[2], len(value))
	require.Positive(t, first.reserved)

	second := piped(t, space, text, 100000)
	began := time.Now()
	got, err := everything(second)
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, got, 3)
	require.Contains(t, got[1], `["SET"]OVERLOADED not applied`)
	require.GreaterOrEqual(t, time.Since(began), reserveWait)
	require.Zero(t, second.reserved)

	first.release(true)
	require.Equal(t, 90<<10, space.free, "everything is given back")
	require.False(t, first.place.Waiting())
	require.True(t, second.place.Waiting(), "a refused connection keeps its place")
	many := []string{"MSET"}
	for i := range 40 {
		many = append(many, fmt.Sprint("k", i), strings.Repeat("x", maxCommand/32))
	}
	got, err = everything(piped(t, newByteBudget(commandBytes), resp(many...)+resp("PING"), 100000))
	require.ErrorIs(t, err, io.EOF)
	require.Contains(t, got[0], "ERR command is longer than 16777216 bytes")
	require.Equal(t, `["PING"]`, got[1])
}

// A command that is read together with one that holds budget has none itself, so large commands do not get in behind one.
func TestReaderHoldsBudgetForOneCommand(t *testing.T) {
	space := newByteBudget(commandBytes)
	value := strings.Repeat("x", 64<<10)
	r := piped(t, space, strings.Repeat(resp("SET", "k", value), 3), 1<<20)
	for range 3 {
		batch, err := readBatch(r)
		require.NoError(t, err)
		require.Len(t, batch, 1)
		require.Len(t, batch[0].args[2], len(value))
		require.GreaterOrEqual(t, r.reserved, len(value)-freeCommandBytes)
		r.release(true)
	}
}

// Arguments cost memory even if they are empty.
func TestReaderCountsArguments(t *testing.T) {
	const words = 10000
	r := piped(t, newByteBudget(commandBytes), fmt.Sprintf("*%d\r\n", words)+strings.Repeat("$0\r\n\r\n", words), 1<<20)
	batch, err := readBatch(r)
	require.NoError(t, err)
	require.Len(t, batch[0].args, words)
	require.GreaterOrEqual(t, r.reserved, 24*words-freeCommandBytes)

	r = piped(t, newByteBudget(1<<10), fmt.Sprintf("*%d\r\n", words)+strings.Repeat("$0\r\n\r\n", words)+resp("PING"), 1<<20)
	batch, err = readBatch(r)
	require.NoError(t, err)
	require.Len(t, batch, 2, "what is behind a command that is refused is not lost")
	require.Contains(t, batch[0].refused, "OVERLOADED not applied")
	require.Less(t, len(batch[0].args), words, "nobody needs what a command lacks")
	require.Equal(t, "PING", string(batch[1].args[0]))
}

// A line of many short words costs about as much memory as the line has bytes.
func TestReaderParsesLongInlineCommands(t *testing.T) {
	var before, after runtime.MemStats
	line := strings.Repeat("a ", maxBuffer/2-2) + "\n"
	r := piped(t, newByteBudget(commandBytes), line, 1<<20)
	runtime.ReadMemStats(&before)
	batch, err := readBatch(r)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Len(t, batch[0].args, maxBuffer/2-2)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}

// halting is a connection on which arguments come one by one, and that notes its deadlines.
type halting struct {
	net.Conn
	deadlines int
}

func (h *halting) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		h.deadlines++
	}
	return h.Conn.SetReadDeadline(at)
}

// A client that sends one argument now and then gets no more time for a command than one that sends it at once.
func TestReaderHasOneDeadlinePerCommand(t *testing.T) {
	r := piped(t, newByteBudget(commandBytes), resp("MSET", "a", strings.Repeat("x", freeCommandBytes), "b", "2", "c", "3"), 1<<20)
	conn := &halting{Conn: r.conn}
	r.conn = conn
	batch, err := readBatch(r)
	require.NoError(t, err)
	require.Len(t, batch[0].args, 7)
	require.Equal(t, 1, conn.deadlines)
}
