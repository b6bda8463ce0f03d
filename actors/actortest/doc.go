// Package actortest tests any Proto.Actor actor on one thread, in virtual time, from one seed.
//
// A World runs the actors of any number of nodes. Nothing in it happens by itself: a test lets it run with Advance,
// RunUntil or RunUntilIdle, and whichever of the waiting actors comes next, however long a message travels and whether
// it arrives at all is drawn from the seed. The same seed gives the same run, step by step; another seed another one.
// Actors that send to each other for ever without letting time pass fail the test, too.
// When a test fails the World prints the seed, the flag that replays it, and what the actors did as a sequence diagram.
//
//	w := actortest.NewWorld(t)
//	n := w.Node("a")
//	pid := n.Spawn(actor.PropsFromProducer(newGreeter), "greeter")
//	p := n.Probe("me")
//	p.Send(pid, &Hello{})
//	require.Equal(t, "hello", actortest.Expect[*Answer](p).Text)
//	p.ExpectNone()
//
// Actors in a World must leave goroutines, locks and the machine's clock alone: time comes from Node.Clock. What would run
// beside the World fails the test. Every line of this table is a test:
//
//	in Proto.Actor                                              in a World
//	Send, Request, Respond, Forward                             work; to other nodes through the simulated network
//	a *PID that several nodes use                               leads each through its own network
//	Self that another node uses                                 leads each through its own network
//	messages that are not protobuf                              work within a node; to another one the test fails
//	Watch, Unwatch, Terminated                                  work
//	Watch of an actor whose node crashes or is cut off          AddressTerminated, after Network.SetBrokenAfter
//	Stop, Poison, StopFuture, PoisonFuture                      work, on other nodes as well
//	Spawn, SpawnNamed, SpawnPrefix                              work, of the node's RootContext and of actors
//	routers, and other Props with a SpawnFunc                   the test fails
//	actors that are spawned past the World                      the test fails
//	goroutines that send, spawn, or use Node.Clock              the test fails
//	time.AfterFunc, scheduler.TimerScheduler                    the test fails: use Node.Clock
//	goroutines that run when the test ends                      the test fails
//	mailboxes                                                   work
//	MessageBatch                                                works: its messages come one by one, itself after them
//	middleware, context decorators                              work
//	EventStream, dead letters                                   work
//	SetReceiveTimeout                                           works, in virtual time
//	RequestFuture of a Context, PipeTo, ReenterAfter            work, in virtual time
//	RequestFuture of a RootContext                              works without a timeout; else the test fails: use Node.RequestFuture
//	Future.Wait, Future.Result outside of actors                let the World run
//	Future.Wait, Future.Result in Receive                       the test fails: use ReenterAfter or PipeTo
//	panics                                                      fail the test, with their stack, unless World.AllowPanics says otherwise
//	one for one, all for one, restarting strategy               work; failures are counted in virtual time
//	exponential backoff                                         works, in virtual time
//	restarts                                                    work, and are in the journal as panics are
package actortest
