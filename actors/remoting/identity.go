package remoting

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/eraft-io/eraft/actors"
	"github.com/eraft-io/eraft/messages"
)

// identityKey is the envelope header that names the sender: cluster/node/epoch.
const identityKey = "e"

func formatIdentity(id actors.Identity) string {
	return fmt.Sprintf("%x/%d/%d", id.Cluster, id.Node, id.Epoch)
}

func parseIdentity(text string) (actors.Identity, bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return actors.Identity{}, false
	}
	cluster, err1 := strconv.ParseUint(parts[0], 16, 64)
	node, err2 := strconv.ParseUint(parts[1], 10, 64)
	epoch, err3 := strconv.ParseUint(parts[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return actors.Identity{}, false
	}
	return actors.Identity{Cluster: cluster, Node: messages.NodeID(node), Epoch: messages.Epoch(epoch)}, true
}
