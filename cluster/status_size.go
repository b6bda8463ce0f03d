package cluster

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// maxStatusBytes bounds the encoded size of a NodeStatus, so that the message around it fits too.
const maxStatusBytes = messages.MaxMessageBytes - 64<<10

// sendable shortens a status that is too large to be sent. It drops the JSON document, which the node's HTTP listener still serves,
// and then all placement steps but the next one. The replicas of MaxGroups groups always fit.
func sendable(status *messages.NodeStatus) *messages.NodeStatus {
	if size := proto.Size(status); size > maxStatusBytes && len(status.Json) > 0 {
		status.Json = fmt.Appendf(nil, `{"trouble":"the status is %d bytes long, too large to be sent: ask the node's HTTP listener"}`, size)
	}
	if steps := status.GetPlacement().GetSteps(); len(steps) > 1 && proto.Size(status) > maxStatusBytes {
		cut := proto.Clone(status.Placement).(*messages.PlacementStatus)
		cut.Steps = cut.Steps[:1]
		status.Placement = cut
	}
	return status
}
