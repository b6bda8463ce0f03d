package tests

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// commands sends one command through a client of Redis; nil is no value.
type commands func(ctx context.Context, args ...string) (any, error)

// goClients connect with default settings. How a client is closed does not matter here.
var goClients = map[string]func(cluster bool, seeds []string) (commands, error){
	"go-redis": func(cluster bool, seeds []string) (commands, error) {
		var c goredis.UniversalClient = goredis.NewClient(&goredis.Options{Addr: seeds[0]})
		if cluster { // unless told otherwise it asks for slots once a minute, of whatever server, and none but a dead node would redirect it
			c = goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: seeds, ClusterStateReloadInterval: time.Second})
		}
		return func(ctx context.Context, args ...string) (any, error) {
			answer, err := c.Do(ctx, anys(args)...).Result()
			if errors.Is(err, goredis.Nil) {
				return nil, nil
			}
			return answer, err
		}, nil
	},
	"rueidis": func(cluster bool, seeds []string) (commands, error) {
		// Client-side caching is not served. A single address of a cluster is taken for its seed unless that is forbidden.
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: seeds, DisableCache: true, ForceSingleClient: !cluster})
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, args ...string) (any, error) {
			answer, err := c.Do(ctx, c.B().Arbitrary(args[0]).Keys(args[1:2]...).Args(args[2:]...).Build()).ToAny()
			if rueidis.IsRedisNil(err) {
				return nil, nil
			}
			return answer, err
		}, nil
	},
	// redigo has no client for clusters, and a connection of it does not come back: its pool makes another.
	"redigo": func(_ bool, seeds []string) (commands, error) {
		pool := &redis.Pool{DialContext: func(ctx context.Context) (redis.Conn, error) { return redis.DialContext(ctx, "tcp", seeds[0]) }, MaxIdle: 1}
		return func(_ context.Context, args ...string) (any, error) {
			conn := pool.Get()
			defer conn.Close()
			answer, err := conn.Do(args[0], anys(args[1:])...)
			if bytes, ok := answer.([]byte); ok {
				answer = string(bytes)
			}
			return answer, err
		}, nil
	},
}

func anys(args []string) (all []any) {
	for _, a := range args {
		all = append(all, a)
	}
	return all
}

// goSession is what tests/clients/session.* are for other languages. It ends with ctx.
func goSession(ctx context.Context, library, mode, tag string, seeds []string, say func(string)) {
	c, err := goClients[library](mode == "cluster", seeds)
	key := func(name any) string { return fmt.Sprintf("{%s}%s-%s-%v", tag, library, mode, name) }
	check := func(want any, args ...string) {
		if err != nil {
			return
		}
		var got any
		if got, err = c(ctx, args...); err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
			err = fmt.Errorf("%v: %v, not %v", args, got, want)
		}
	}
	check(0, "DEL", key("a"), key("n"))
	check("OK", "SET", key("a"), "é")
	check("é", "GET", key("a"))
	check(nil, "GET", key("nothing"))
	check(1, "INCR", key("n"))
	check(1, "DEL", key("a"))
	if err != nil {
		say("wrong " + err.Error())
		return
	}
	for n := 1; ctx.Err() == nil; n++ {
		check("OK", "SET", key(n), fmt.Sprint(n))
		check(n, "GET", key(n))
		if err == nil {
			say(fmt.Sprintf("%d ok", n))
			continue
		}
		say(fmt.Sprintf("%d failed %s", n, strings.ReplaceAll(err.Error(), "\n", " ")))
		err = nil
		<-time.After(20 * time.Millisecond)
	}
}
