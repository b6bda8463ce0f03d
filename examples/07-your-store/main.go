// Command 07-your-store is a link shortener with a node of eRaft in it. Without flags it runs on its own for a moment, visits itself, and
// shows what came of it; with -serve it stays.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/eraft-io/eraft/cluster"
)

var (
	serve  = flag.Bool("serve", false, "serve until SIGINT or SIGTERM")
	name   = flag.String("name", "n1", "of this node")
	dir    = flag.String("dir", "", "data directory; default: a temporary one, which is deleted")
	listen = flag.String("listen", "127.0.0.1:0", "for the other nodes")
	seeds  = flag.String("seeds", "", "addresses of nodes, with commas; default: this node is the cluster")
	web    = flag.String("http", "127.0.0.1:0", "for people")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "07-your-store:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	config := cluster.Config{Name: *name, Dir: *dir, Listen: *listen}
	if *seeds != "" {
		config.Seeds = strings.Split(*seeds, ",")
	}
	if config.Dir == "" {
		if config.Dir, err = os.MkdirTemp("", "eraft-your-store"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(config.Dir)) }()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *serve {
		return stay(ctx, config)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return story(ctx, config)
}

func stay(ctx context.Context, config cluster.Config) error {
	s, err := start(ctx, config, *web)
	if err != nil {
		return err
	}
	fmt.Println("serving at", s.url)
	select {
	case <-ctx.Done():
	case <-s.node.Done(): // by itself: its disk is full or broken, or the cluster has removed it
	}
	return errors.Join(s.stop(), s.node.Err())
}

func story(ctx context.Context, config cluster.Config) error {
	s, err := start(ctx, config, *web)
	if err != nil {
		return err
	}
	if err := visitMuch(ctx, s); err != nil {
		return errors.Join(err, s.stop())
	}
	if err := s.stop(); err != nil {
		return err
	}
	if s, err = start(ctx, config, *web); err != nil {
		return err
	}
	_, count, err := ask("GET", s.url+"/go/visits", "")
	fmt.Printf("after a restart: GET /go/visits: %s\n", count)
	return errors.Join(err, s.stop())
}

// visitMuch makes a link, and lets twenty visitors follow it 50 times each.
func visitMuch(ctx context.Context, s *service) error {
	for _, target := range []string{"https://go.dev", "https://example.com"} {
		status, text, err := ask("POST", s.url+"/go", target)
		if err != nil {
			return err
		}
		fmt.Printf("POST /go %s: %s %s\n", target, status, text)
	}
	var visitors sync.WaitGroup
	problems := make(chan error, 20)
	for range 20 {
		visitors.Go(func() {
			for range 50 {
				if status, _, err := ask("GET", s.url+"/go", ""); err != nil || !strings.HasPrefix(status, "302") {
					problems <- fmt.Errorf("GET /go: %s: %w", status, err)
					return
				}
			}
		})
	}
	visitors.Wait()
	if len(problems) > 0 {
		return <-problems
	}
	for {
		_, count, err := ask("GET", s.url+"/go/visits", "")
		if err != nil {
			return err
		}
		if count == "1000" {
			fmt.Printf("1000 redirects; GET /go/visits: %s, written by %d requests\n", count, s.writes.Load())
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s visits are written: %w", count, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// browser does not follow redirects: what they answer is of interest here.
var browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func ask(method, url, body string) (status, text string, err error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return "", "", err
	}
	answer, err := browser.Do(request)
	if err != nil {
		return "", "", err
	}
	read, err := io.ReadAll(answer.Body)
	return answer.Status, strings.TrimSpace(string(read)), errors.Join(err, answer.Body.Close())
}
