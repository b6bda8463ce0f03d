package remoting

import (
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// server is Proto.Actor's gRPC service. Of its calls it implements only the stream of messages.
type server struct {
	remote.UnimplementedRemotingServer
	n *Network
}

// Receive handles a stream that another system opens. Whatever comes on it can end this stream only.
func (s server) Receive(stream remote.Remoting_ReceiveServer) error {
	i := &incomingStream{n: s.n, stream: stream, ended: make(chan error, 1)}
	i.in = streamReader{n: s.n, onIdentified: i.onIdentified, onSuperseded: i.onSuperseded, rate: tokenBucket{rate: clientRate}}
	i.introductionTimer = time.AfterFunc(introductionTimeout, func() {
		i.end(status.Error(codes.DeadlineExceeded, "the sender on this stream has not identified itself"))
	})
	s.n.running.Go(i.read)
	err := <-i.ended
	i.introductionTimer.Stop()
	s.n.clients.remove(i)
	return err
}

// incomingStream is a stream that another system has opened. It ends when read or sendReplies end, or are stuck.
type incomingStream struct {
	n                 *Network
	stream            remote.Remoting_ReceiveServer
	in                streamReader
	introductionTimer *time.Timer
	introduced        bool
	ended             chan error // takes why the stream ends: the first reason

	// Of clients, which get replies on their own stream. Under the lock of clientStreams:
	entered, left bool
	queue         *queue // nil: the client has not named its reply address
}

func (i *incomingStream) end(err error) {
	select {
	case i.ended <- err:
	default:
	}
}

// read handles the messages of the stream, until one is wrong.
func (i *incomingStream) read() {
	for {
		err := i.in.next(i.stream, i.control)
		if err == nil {
			i.introduced = true
			continue
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		i.end(err)
		return
	}
}

// control handles the messages that are no batches. A ConnectRequest comes first, or never.
func (i *incomingStream) control(m *remote.RemoteMessage) error {
	request := m.GetConnectRequest()
	switch {
	case m.GetDisconnectRequest() != nil:
		return nil
	case request == nil || i.introduced:
		return errMessage
	}
	id := request.GetServerConnection().GetSystemId()
	if c := request.GetClientConnection(); c != nil {
		id = c.SystemId
	}
	if len(id) > maxSystemID {
		return errMessage
	}
	if id != "" {
		i.in.from.ReplyAddress = clientAddress + id
	}
	return i.sendIdentity(i.n.sys.Identity())
}

// sendIdentity tells the other system an identity: of this system, or, before the stream ends, of a later boot of the other one.
func (i *incomingStream) sendIdentity(id actors.Identity) error {
	return i.stream.Send(&remote.RemoteMessage{MessageType: &remote.RemoteMessage_ConnectResponse{
		ConnectResponse: &remote.ConnectResponse{MemberId: formatIdentity(id)},
	}})
}

// onSuperseded ends the stream of an earlier boot of a member, and tells it the newest epoch. A member gets no replies on its own stream, so
// no one else sends on it.
func (i *incomingStream) onSuperseded(newest messages.Epoch) error {
	id := i.in.from.Identity
	id.Epoch = newest
	return errors.Join(i.sendIdentity(id), status.Errorf(codes.FailedPrecondition, "this node has restarted since"))
}

// onIdentified is called when the sender has named itself. A sender that is no member is a client, and gets its replies on this stream.
func (i *incomingStream) onIdentified() error {
	i.introductionTimer.Stop()
	if !i.n.guard.Outsider(i.in.from.Identity) {
		return nil
	}
	entered, first := i.n.clients.add(i)
	switch {
	case !entered:
		i.n.guard.CountDrop("too many clients")
		return status.Errorf(codes.ResourceExhausted, "this node has %d clients: connect to another one, or later", i.n.clients.limit)
	case first && i.queue != nil:
		i.n.running.Go(i.sendReplies)
	}
	return nil
}

// sendReplies sends what is queued for the client.
func (i *incomingStream) sendReplies() {
	var mark identityHeader
	stuck := time.AfterFunc(writeTimeout, func() { i.end(status.Error(codes.DeadlineExceeded, "answers are not read")) })
	defer stuck.Stop()
	stuck.Stop()
	var batch []outgoingMessage
	for {
		select {
		case <-i.stream.Context().Done():
			return
		case <-i.queue.wake:
		}
		batch = i.queue.drain(batch)
		if err := i.queue.send(i.n, timedSender{i.stream, stuck}, mark.of(i.n.sys), batch); err != nil {
			i.end(err)
			return
		}
		clear(batch)
	}
}

// timedSender is a messageSender with a timer that runs while a frame is written.
type timedSender struct {
	messageSender
	timer *time.Timer
}

func (p timedSender) SendMsg(m any) error {
	p.timer.Reset(writeTimeout)
	defer p.timer.Stop()
	return p.messageSender.SendMsg(m)
}

// clientAddress begins the reply address of a system that gets replies on the streams that it has opened. No such address can be dialed. The
// system's ID follows, which it draws at random: only the systems that are to reply know it.
const clientAddress = "client/"

const (
	maxClients          = 1 << 12   // streams of clients
	maxClientBytes      = 256 << 20 // of messages that wait for all of them together
	clientRate          = 100       // messages per second of one of them that are no requests for data
	totalClientRate     = 2000      // the same of all of them
	maxSystemID         = 64
	maxStreams          = 16      // of one connection
	maxMetadata         = 4 << 10 // of one call
	introductionTimeout = 20 * time.Second
	writeTimeout        = 30 * time.Second // that a client may take to read one frame
)

// clientStreams are the streams on which clients get their replies.
type clientStreams struct {
	n       *Network
	budget  *budget
	mu      sync.RWMutex
	limit   int
	count   int
	streams map[string][]*incomingStream // by reply address, the newest last
}

// add adds a stream, unless there are too many. here tells whether it is among the streams now, first whether it was not before.
func (g *clientStreams) add(i *incomingStream) (here, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i.left || i.entered || g.count >= g.limit {
		return i.entered && !i.left, false
	}
	i.entered = true
	g.count++
	if at := i.in.from.ReplyAddress; at != "" {
		i.queue = newQueue(maxClientBytes, g.budget)
		g.streams[at] = append(g.streams[at], i)
	}
	return true, true
}

// remove removes a stream that has ended. The messages that wait for it are lost.
func (g *clientStreams) remove(i *incomingStream) {
	g.mu.Lock()
	i.left = true
	if i.entered {
		g.count--
	}
	if i.queue != nil {
		at := i.in.from.ReplyAddress
		g.streams[at] = slices.DeleteFunc(g.streams[at], func(other *incomingStream) bool { return other == i })
		if len(g.streams[at]) == 0 {
			delete(g.streams, at)
		}
	}
	g.mu.Unlock()
	if i.queue != nil {
		g.n.countLost(clientAddress, i.queue.close())
	}
}

// post queues a reply for the client with an address: on the stream that it has opened last.
func (g *clientStreams) post(l outgoingMessage) {
	g.mu.RLock()
	var to *queue
	if all := g.streams[l.to.Address]; len(all) > 0 {
		to = all[len(all)-1].queue
	}
	g.mu.RUnlock()
	if to == nil {
		g.n.guard.CountDrop("client is gone")
		return
	}
	switch to.post(l) {
	case queueFull:
		g.n.countQueueFull(clientAddress)
	case queueClosed:
		g.n.guard.CountDrop("client is gone")
	}
}
