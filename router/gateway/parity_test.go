package gateway_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	seeds = flag.Uint64("seeds", 400, "sessions of TestParity")
	seed  = flag.Uint64("seed", 0, "the only session of TestParity")
)

// difference is a row of the table in docs/RESP.md: to these requests Redis and eRaft answer otherwise.
type difference struct {
	requests, redis, eraft *regexp.Regexp
	example                string
	used                   bool
}

// differences reads the table. Its cells are regular expressions, but for the example and the reason.
func differences(t *testing.T) (rows []*difference) {
	page, err := os.ReadFile("../../docs/RESP.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(page)) {
		cells := regexp.MustCompile("^\\| `(.*?)` \\| `(.*?)` \\| `(.*?)` \\| `(.*?)` \\| (.+) \\|\n$").FindStringSubmatch(line)
		if cells == nil {
			continue
		}
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], `\|`, "|")
		}
		expression := func(text string) *regexp.Regexp { return regexp.MustCompile("(?is)^(?:" + text + ")") }
		rows = append(rows, &difference{
			requests: expression("(?:" + cells[1] + ")$"), example: cells[2], redis: expression(cells[3]), eraft: expression(cells[4]),
		})
	}
	return rows
}

// example is a request of the table: raw bytes if there is an escape in it, else words, where <n> is a word of n bytes.
func example(t *testing.T, text string) request {
	if strings.Contains(text, `\`) {
		raw, err := strconv.Unquote(`"` + text + `"`)
		require.NoError(t, err)
		return request{raw, "raw " + strconv.Quote(raw)}
	}
	all := request{}
	for part := range strings.SplitSeq(text, "; ") {
		words := strings.Fields(part)
		for i, w := range words {
			if n, err := strconv.Atoi(strings.Trim(w, "<>")); err == nil && w[0] == '<' {
				words[i] = strings.Repeat("x", n)
			}
			words[i] = strings.ReplaceAll(words[i], "''", "")
		}
		next := array(words...)
		all.bytes += next.bytes
		all.shown = strings.TrimPrefix(all.shown+"; "+next.shown, "; ")
	}
	return all
}

// side is a server that is asked. What is sent to it arrives in pieces.
type side struct {
	conn   net.Conn
	r      *bufio.Reader
	pieces *rand.Rand
	sent   sync.WaitGroup
}

func open(t *testing.T, address string, pieces uint64) *side {
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	return &side{conn: conn, r: bufio.NewReader(conn), pieces: rand.New(rand.NewPCG(pieces, 0))}
}

func (s *side) close() {
	_ = s.conn.Close() // it may be gone
	s.sent.Wait()
}

// send does not wait: the other side may send first what it has.
func (s *side) send(bytes string) {
	s.sent.Wait()
	s.sent.Go(func() {
		for len(bytes) > 0 {
			n := min(len(bytes), 1+s.pieces.IntN(1<<s.pieces.IntN(16)))
			if _, err := io.WriteString(s.conn, bytes[:n]); err != nil {
				return // it is gone, and whoever reads sees it
			}
			bytes = bytes[n:]
		}
	})
}

func marker(i int) string { return fmt.Sprintf("marker %d", i) }

// until gives all answers up to that of a marker; what ends them instead is told.
func (s *side) until(i int) string {
	all, end := "", fmt.Sprintf("$%d\r\n%s\r\n", len(marker(i)), marker(i))
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return all + "gone"
		}
		switch answer, err := reply(s.r); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return all + "silence"
		case err != nil:
			return all + "gone"
		case answer == end:
			return all
		default:
			all += answer
		}
	}
}

// same compares what has no order.
func same(asked request, want, got string) bool {
	if want == got {
		return true
	}
	command := strings.ToLower(asked.shown)
	return (strings.HasPrefix(command, "keys ") || strings.HasPrefix(command, "scan ")) && slices.Equal(elements(want), elements(got))
}

func elements(answer string) []string {
	r, all := bufio.NewReader(strings.NewReader(answer)), []string{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			slices.Sort(all)
			return all
		}
		if line[0] == '$' {
			n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
			body := make([]byte, max(n, 0)+2)
			_, _ = io.ReadFull(r, body)
			line += string(body)
		}
		all = append(all, line)
	}
}

// batch is what can be sent at once from a request on, with markers between: behind one that may end the connection nothing,
// since a connection that is closed before all is read loses answers, too.
func batch(requests []request, next *int) (bytes string) {
	for ends := false; !ends && *next < len(requests); *next++ {
		asked := requests[*next]
		bytes += asked.bytes + array("ECHO", marker(*next)).bytes
		ends = regexp.MustCompile("^(raw|line|(?i)quit)").MatchString(asked.shown)
	}
	return bytes
}

// parity has one session with both.
func parity(t *testing.T, redis string, rows []*difference, requests []request, pieces *rand.Rand, name string) {
	talk(t, redis, "CLIENT KILL TYPE normal", "FLUSHALL") // a session before may not have been heard to its end
	theirs, ours := open(t, redis, pieces.Uint64()), open(t, start(t, newOneNode(t)), pieces.Uint64())
	defer theirs.close()
	defer ours.close()
	sent := 0
	for i, asked := range requests {
		if i == sent {
			bytes := batch(requests, &sent)
			theirs.send(bytes)
			ours.send(bytes)
		}
		want, got := theirs.until(i), ours.until(i)
		if !same(asked, want, got) {
			at := slices.IndexFunc(rows, func(d *difference) bool {
				return d.requests.MatchString(asked.shown) && d.redis.MatchString(want) && d.eraft.MatchString(got)
			})
			if at < 0 {
				require.Equal(t, short(want), short(got), "%s, request %d: %s", name, i, asked.shown)
			}
			if rows[at].used = true; strings.HasPrefix(want, "-") != strings.HasPrefix(got, "-") {
				return // one has done what the other has not
			}
		}
		if strings.HasSuffix(want, "gone") || strings.HasSuffix(want, "silence") {
			return
		}
	}
}

func short(answer string) string {
	if len(answer) > 400 {
		return fmt.Sprintf("%s…%d bytes", answer[:400], len(answer))
	}
	return answer
}

// TestParity has many made-up sessions with a real Redis and with us. Answers are the same byte for byte, or the table of
// docs/RESP.md says that they are not. More of them: go test ./router/gateway -run TestParity -seeds 100000.
func TestParity(t *testing.T) {
	redis, rows := redisServer(t, "--databases", "16"), differences(t)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		row.used = false
		for _, other := range rows {
			other.used = false
		}
		parity(t, redis, rows, []request{example(t, row.example)}, rand.New(rand.NewPCG(0, 0)), "an example")
		require.True(t, row.used, "docs/RESP.md says of %q what is not so, or what another row says", row.example)
	}
	first, last := uint64(1), *seeds
	if *seed > 0 {
		first, last = *seed, *seed
	}
	for n := first; n <= last; n++ {
		s := script{rand.New(rand.NewPCG(n, 7))}
		var requests []request
		for range 1 + s.IntN(40) {
			requests = append(requests, s.request())
		}
		parity(t, redis, rows, requests, s.Rand, fmt.Sprintf("-seed %d", n))
	}
}
