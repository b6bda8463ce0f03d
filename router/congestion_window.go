package router

// window bounds the bytes of a Session's requests that are on their way: sent and not answered. More on the way would not
// be served sooner. They would stand in the queues of connections until their deadlines, and be sent again behind
// themselves.
//
// It shrinks to what is left on the way when the cluster refuses a request as too much, and grows by one request for
// each window that is served, as TCP's does (RFC 5681).
type congestionWindow struct {
	max      int // bytes
	size     int // of them, what the cluster seems to have room for
	inFlight int
}

// smallRequest and below is not counted: such requests are bounded by their number, and wait for no large ones.
const smallRequest = 4 << 10

// takes tells whether a request may be sent now. One that is larger than the window goes alone.
func (w *congestionWindow) admits(bytes int) bool {
	return bytes <= smallRequest || w.inFlight == 0 || w.inFlight+bytes <= w.size
}

func (w *congestionWindow) add(bytes int) {
	if bytes > smallRequest {
		w.inFlight += bytes
	}
}

// over is the end of a request that was sent.
func (w *congestionWindow) remove(bytes int, overloaded bool) {
	if bytes <= smallRequest {
		return
	}
	w.inFlight -= bytes
	if overloaded {
		w.size = max(min(w.size, w.inFlight), smallRequest)
		return
	}
	w.size = min(w.size+min(bytes, bytes*bytes/w.size), w.max)
}
