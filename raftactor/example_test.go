package raftactor_test

import (
	"encoding/binary"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
	"github.com/eraft-io/eraft/persistence/memory"
	"github.com/eraft-io/eraft/raftactor"
)

// tally is a Machine that counts: each command adds the length of its custom bytes.
type tally struct{ sum uint64 }

var sumKey = []byte("sum")

func (t *tally) Open(store persistence.Reader) error {
	value, found, err := store.Get(sumKey)
	t.sum = 0
	if found {
		t.sum = binary.BigEndian.Uint64(value)
	}
	return err
}

func (t *tally) Apply(tx raftactor.Tx, _ raftactor.Position, command []byte) (*messages.Reply, error) {
	c := new(messages.Command)
	if err := proto.Unmarshal(command, c); err != nil {
		return nil, err // the log makes no sense: the node stops
	}
	t.sum += uint64(len(c.GetCustom()))
	tx.Put(sumKey, binary.BigEndian.AppendUint64(nil, t.sum))
	return &messages.Reply{Session: c.Session, Seq: c.Seq, Number: int64(t.sum)}, nil
}

func (t *tally) Query(persistence.Reader, []byte) (*messages.Reply, error) {
	return &messages.Reply{Number: int64(t.sum)}, nil
}

// alone is a network with nobody else on it.
type alone struct{}

func (alone) Attach(s *actors.System) error { s.ProcessRegistry.Address = "n1"; return nil }
func (alone) Detach() error                 { return nil }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// A group of one replica with a Machine of one's own. With more nodes only the network, the addresses and the first
// voters differ.
func ExampleMachine() {
	system, err := actors.NewSystem(actors.Env{
		Clock: actors.NewSystemClock(), Rand: actors.SeededRand(1), Events: func(actors.Event) {}, Fatal: must,
	}, alone{})
	must(err)
	disk, state := memory.New(), memory.New()
	log := persistence.OpenLog(disk)
	birth := new(persistence.Batch)
	must(log.Add(birth, persistence.LogUpdate{
		Group: 7, HardState: &messages.HardState{Term: 1, Commit: 1}, Snapshot: raftactor.InitialSnapshot([]uint64{1}),
	}))
	must(disk.Write(birth, true))

	writer, err := system.Spawn("persistence/log", func() actor.Actor {
		return persistence.NewWriter(log, persistence.WriterOptions{Fatal: must, Now: system.Clock.Now})
	}, actors.Durable(), actors.Batching(actors.MailboxBound{}, nil))
	must(err)
	logReader, err := system.Spawn("persistence/log/reader", func() actor.Actor { return persistence.NewLogReader(log, must) },
		actors.Durable())
	must(err)
	stateSyncer, err := system.Spawn("persistence/state/sync", func() actor.Actor { return persistence.NewStateSyncer(state, must) },
		actors.Durable())
	must(err)
	stateWriter, err := system.Spawn("persistence/state", func() actor.Actor {
		return persistence.NewStateWriter(state, persistence.StateWriterOptions{Fatal: must, Syncer: stateSyncer})
	}, actors.Durable(), actors.Batching(actors.MailboxBound{}, nil))
	must(err)
	ticker, err := system.Spawn("ticker", func() actor.Actor { return raftactor.NewTicker(system) })
	must(err)
	loaded, err := log.Load(7)
	must(err)
	leading := make(chan bool, 100)
	must(raftactor.Start(raftactor.Options{
		Group: 7, Node: 1, System: system, Writer: writer, LogReader: logReader, StateWriter: stateWriter, Ticker: ticker,
		State: state, Log: loaded, Machine: &tally{},
		Address: func(messages.NodeID) string { return "n1" },
		OnState: func(s *messages.ReplicaStatus) { leading <- s.Leader == 1 },
	}))
	for !<-leading {
	}

	replies := make(chan *messages.Reply, 2)
	_, err = system.Spawn("session/example", func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*messages.Replies); ok {
				for _, r := range m.Replies {
					replies <- r
				}
			}
		})
	})
	must(err)
	for seq, word := range []string{"actors", "carry"} {
		command, err := proto.Marshal(&messages.Command{Session: 1, Seq: uint64(seq + 1), Op: &messages.Command_Custom{Custom: []byte(word)}})
		must(err)
		system.Root.Send(actor.NewPID("n1", raftactor.PeerPath(7)), &messages.Requests{Group: 7, Sessions: []*messages.SessionRequests{
			{Address: "n1", Id: "session/example", Commands: [][]byte{command}},
		}})
		fmt.Println((<-replies).Number)
	}
	must(raftactor.Stop(system, 7))
	// Output:
	// 6
	// 11
}
