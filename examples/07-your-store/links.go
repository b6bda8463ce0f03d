package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/eraft-io/eraft/client"
)

// A link has two keys. The {tag} puts both into one bucket.
func targetKey(link string) []byte { return []byte("{" + link + "}target") }
func visitsKey(link string) []byte { return []byte("{" + link + "}visits") }

var nameOfLink = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// links is the HTTP face of the service.
//
//	POST /go          the body is where link go leads to; 409 if there is a link go already
//	GET  /go          redirects there, and counts a visit
//	GET  /go/visits   how many visits were counted
type links struct {
	c      *client.Client
	actors *actor.ActorSystem
	visits *actor.PID
}

func (l *links) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{link}", l.create)
	mux.HandleFunc("GET /{link}", l.follow)
	mux.HandleFunc("GET /{link}/visits", l.count)
	return mux
}

func (l *links) create(w http.ResponseWriter, r *http.Request) {
	target, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<10))
	link := r.PathValue("link")
	if err != nil || !nameOfLink.MatchString(link) || len(target) == 0 {
		http.Error(w, "a link has a name of a-z, 0-9 and -, and leads somewhere", http.StatusBadRequest)
		return
	}
	if _, err := l.c.PutIfAbsent(r.Context(), targetKey(link), target); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (l *links) follow(w http.ResponseWriter, r *http.Request) {
	link := r.PathValue("link")
	target, found, err := l.c.Get(r.Context(), targetKey(link))
	switch {
	case err != nil:
		refuse(w, err)
	case !found:
		http.NotFound(w, r)
	default:
		l.actors.Root.Send(l.visits, visit{link}) // nobody waits for it
		http.Redirect(w, r, string(target.Data), http.StatusFound)
	}
}

func (l *links) count(w http.ResponseWriter, r *http.Request) {
	count, found, err := l.c.Get(r.Context(), visitsKey(r.PathValue("link")))
	switch {
	case err != nil:
		refuse(w, err)
	case !found:
		_, _ = fmt.Fprintln(w, 0) // fails only when the browser has gone
	default:
		_, _ = fmt.Fprintln(w, string(count.Data))
	}
}

// refuse answers an error of the store, which says what the caller may do next.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, client.ErrConflict):
		http.Error(w, "there is such a link already", http.StatusConflict)
	case errors.Is(err, client.ErrOverloaded), errors.Is(err, client.ErrUnavailable): // not applied
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default: // it may have been applied: look before you try again
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
