package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/router/gateway"
)

// However small the reply budget, a pipeline's replies are as if its commands were carried out one by one.
func TestPipelinesAnswerInOrder(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		g, err := gateway.Start(gateway.Options{Listen: "127.0.0.1:0", Backend: newOneNode(t), ReplyBytes: 1 + rng.IntN(400<<10)})
		require.NoError(t, err)
		conn, err := net.Dial("tcp", g.Address())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		values, text, want := map[string]string{}, "", []string{}
		bulk := func(key string) string {
			if v, ok := values[key]; ok {
				return fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
			}
			return "$-1\r\n"
		}
		say := func(answer string, words ...string) {
			text += fmt.Sprintf("*%d\r\n", len(words))
			for _, w := range words {
				text += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
			}
			want = append(want, answer)
		}
		for i := range 150 {
			key, other := fmt.Sprint("k", rng.IntN(8)), fmt.Sprint("k", rng.IntN(8))
			size := []int{10, 10, 500, 5000, 20 << 10, 90 << 10}[rng.IntN(6)]
			value := strings.Repeat(fmt.Sprint(i%10), size)
			switch rng.IntN(9) {
			case 0, 1, 2:
				say(bulk(key), "GET", key)
			case 3:
				say("*3\r\n"+bulk(key)+bulk(other)+bulk("none"), "MGET", key, other, "none")
			case 4:
				values[key] = value
				say("+OK\r\n", "SET", key, value)
			case 5:
				values[key] += "x"
				say(fmt.Sprintf(":%d\r\n", len(values[key])), "APPEND", key, "x")
			case 6:
				answer := bulk(key)
				delete(values, key)
				say(answer, "GETDEL", key)
			case 7:
				values[key], values[other] = value, "v"
				say("+OK\r\n", "MSET", key, value, other, "v")
			case 8:
				say(fmt.Sprintf(":%d\r\n", len(values[key])), "STRLEN", key)
			}
		}
		go func() {
			_, _ = io.WriteString(conn, text) // what is missing is seen by who reads
		}()
		r := bufio.NewReader(conn)
		for i, answer := range want {
			got := readReply(t, r)
			require.Equal(t, answer[:min(len(answer), 40)], got[:min(len(got), 40)], "seed %d, answer %d", seed, i)
			require.True(t, answer == got, "seed %d, answer %d", seed, i)
		}
		require.NoError(t, conn.Close())
		require.NoError(t, g.Close())
	}
}

// A command on more keys than are sent at once is UNCERTAIN if some were written when one was refused, and sends no more.
func TestCommandsOnVeryManyKeys(t *testing.T) {
	n := newOneNode(t)
	address := start(t, n)
	command := "MSET"
	for i := range 3000 {
		command += fmt.Sprintf(" k%d v", i)
	}
	require.Equal(t, "+OK\r\n", talk(t, address, command)[0])
	require.Equal(t, 3000, n.asked)
	n.refuse = map[string]messages.Code{"k1500": messages.Code_OVERLOADED}
	require.Contains(t, talk(t, address, command)[0], "-UNCERTAIN 2047 of 3000 keys were written, of 0 it is not known")
	require.Equal(t, 3000+2048, n.asked, "once refused, the rest is not tried")
	require.Contains(t, talk(t, address, strings.ReplaceAll(strings.ReplaceAll(command, "MSET", "EXISTS"), " v", ""))[0], "-OVERLOADED")
}
