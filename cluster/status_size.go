package cluster

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// statusBytes is the most that a NodeStatus takes, with room for what is around it.
const statusBytes = messages.MaxMessageBytes - 64<<10

// sendable leaves out of a status that is too large to be sent what others need least: the document for people, which the
// node's HTTP listener still has, then all but the next step of placement. Replicas of MaxGroups groups fit.
func sendable(status *messages.NodeStatus) *messages.NodeStatus {
	if size := proto.Size(status); size > statusBytes && len(status.Json) > 0 {
		status.Json = fmt.Appendf(nil, `{"trouble":"the status is %d bytes long, too large to be sent: ask the node's HTTP listener"}`, size)
	}
	if steps := status.GetPlacement().GetSteps(); len(steps) > 1 && proto.Size(status) > statusBytes {
		cut := proto.Clone(status.Placement).(*messages.PlacementStatus)
		cut.Steps = cut.Steps[:1]
		status.Placement = cut
	}
	return status
}
