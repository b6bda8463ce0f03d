package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/client"
	"github.com/eraft-io/eraft/cluster"
)

// service is the whole program: a node of the store, an actor system of the program's own, and an HTTP server.
type service struct {
	node   *cluster.Node
	c      *client.Client // whose session the program's actors send to
	server *http.Server
	url    string
	writes atomic.Int64 // requests of the counting actors that were answered
}

func start(ctx context.Context, config cluster.Config, listen string) (s *service, err error) {
	s = new(service)
	if s.node, err = cluster.Start(ctx, config); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	s.c, err = client.Connect(ctx, client.Config{Seeds: []string{s.node.Address()}, System: system})
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	clock := actors.NewSystemClock()
	counter := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &visits{session: s.c.PID(), after: clock.After, wrote: func() { s.writes.Add(1) }, links: map[string]*actor.PID{}}
	}))
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.url = "http://" + l.Addr().String()
	s.server = &http.Server{
		Handler:     (&links{c: s.node.Client(), actors: system, visits: counter}).handler(),
		ReadTimeout: 10 * time.Second,
	}
	go func() { _ = s.server.Serve(l) }() // it returns when the server is shut down
	return s, nil
}

// ready waits until the node serves: it has bootstrapped a cluster, or joined one.
func (s *service) ready(ctx context.Context) error {
	for !s.node.Ready() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node does not serve: %v: %w", s.node.Failing(), ctx.Err())
		case <-s.node.Done():
			return s.node.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// stop ends the service from the outside inwards: HTTP requests are answered first, and the node transfers its leadership last.
func (s *service) stop() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if s.server != nil {
		err = s.server.Shutdown(ctx)
	}
	if s.c != nil {
		err = errors.Join(err, s.c.Close())
	}
	return errors.Join(err, s.node.Close(ctx))
}
