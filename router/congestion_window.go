package router

// congestionWindow bounds the bytes of a Session's large requests that are on their way: sent and not answered. More on
// the way would not be served sooner. The requests would stand in the queues of connections until their deadlines, and be
// sent again behind themselves.
//
// It shrinks to what is left on the way when the cluster refuses a request as OVERLOADED, and grows by one request for each
// window that is served, as TCP's congestion window does (RFC 5681).
type congestionWindow struct {
	max      int // bytes: size is never more
	size     int // bytes that the cluster seems to have room for
	inFlight int // bytes on their way; above size only by one request that is larger than the window
}

// smallRequest: requests of up to that many bytes are not counted. They are bounded by their number, and do not wait for
// large ones.
const smallRequest = 4 << 10

// admits reports whether a request of so many bytes may be sent now. One that is larger than the window is sent alone.
func (w *congestionWindow) admits(bytes int) bool {
	return bytes <= smallRequest || w.inFlight == 0 || w.inFlight+bytes <= w.size
}

// add counts a request that is sent.
func (w *congestionWindow) add(bytes int) {
	if bytes > smallRequest {
		w.inFlight += bytes
	}
}

// remove is the end of a request that was added. overloaded: the cluster refused it as OVERLOADED.
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
