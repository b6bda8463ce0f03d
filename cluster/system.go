package cluster

import "github.com/asynkron/protoactor-go/actor"

// System is the Proto.Actor system of this node's actors. Actors that are spawned in it, through its Root, may send requests to
// Client().PID() and get replies as messages, with no network between them. Their names must differ from those of the node's own
// actors, none of which begins with "user/". They end without notice when the node has stopped: stop them before Close.
func (n *Node) System() *actor.ActorSystem { return n.n.system.ActorSystem }
