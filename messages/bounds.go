package messages

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// bound is how many elements a repeated field may have, and how many bytes a field of bytes or text, or each of them. 0: what
// bounds the message as a whole bounds it, see wholes.
type bound struct{ count, bytes int }

var (
	aKey           = bound{0, MaxKeyBytes}
	aValue         = bound{0, MaxValueBytes}
	aName          = bound{0, MaxNameBytes}
	anAddress      = bound{0, MaxAddressBytes} // host:port, or the reply address of a client
	aPath          = bound{0, MaxPathBytes}    // of an actor
	aText          = bound{0, MaxTextBytes}
	boundOfMessage = bound{}
	buckets        = bound{count: Slots}
	replicas       = bound{count: MaxReplicas}
)

// bounds are those of every field, that is no number, of what crosses nodes or enters a log. A test fails for a field that is
// not here, and for a message for which they come to more than may be sent.
var bounds = map[protoreflect.FullName]bound{
	"eraft.Get.key": aKey, "eraft.Put.key": aKey, "eraft.Delete.key": aKey, "eraft.Append.key": aKey, "eraft.Incr.key": aKey,
	"eraft.Condition.key": aKey, "eraft.Put.value": aValue, "eraft.Append.value": aValue, "eraft.Condition.value": aValue,
	"eraft.CompareAndSwap.value": aValue,
	"eraft.Batch.conditions":     {count: MaxBatchOps}, "eraft.Batch.writes": {count: MaxBatchOps},
	"eraft.Scan.after": aKey, "eraft.Scan.prefix": aKey, "eraft.Scan.match": {0, MaxPatternBytes},
	"eraft.Command.custom": boundOfMessage, "eraft.Query.custom": boundOfMessage,

	"eraft.Reply.text": aText, "eraft.Reply.value": aValue, "eraft.Reply.parts": {count: MaxBatchOps},
	"eraft.Page.items": boundOfMessage, "eraft.Page.after": aKey, "eraft.Item.key": aKey, "eraft.Item.value": aValue,
	"eraft.SessionRequests.address": anAddress, "eraft.SessionRequests.id": aPath,
	"eraft.SessionRequests.commands": boundOfMessage, "eraft.SessionRequests.retries": boundOfMessage, "eraft.SessionRequests.queries": boundOfMessage, "eraft.SessionRequests.replica_queries": boundOfMessage,
	"eraft.Requests.sessions": boundOfMessage, "eraft.Replies.replies": boundOfMessage,

	"eraft.CreateBuckets.buckets": buckets, "eraft.BucketPull.after": {0, maxRecordKey}, "eraft.BucketChunk.cursor": {0, maxRecordKey},
	"eraft.BucketChunk.pairs": boundOfMessage, "eraft.Pair.key": {0, maxRecordKey}, "eraft.Pair.value": boundOfMessage,

	"eraft.MetaCommand.reason": aText, "eraft.MetaCommand.requested_by": aName, "eraft.Config.requested_by": aName, "eraft.AddNode.name": aName, "eraft.AddNode.address": anAddress, "eraft.AddNode.resp": anAddress,
	"eraft.AddNode.http": anAddress, "eraft.AddNode.labels": {MaxLabels, MaxLabelBytes}, "eraft.AddNode.forced_quorums": {count: MaxForcedQuorums},
	"eraft.ForcedQuorum.lost": replicas, "eraft.JoinGroups.groups": {count: MaxGroups}, "eraft.NewGroup.nodes": replicas,
	"eraft.SetReplicas.nodes": replicas, "eraft.CompleteMoves.moves": buckets, "eraft.PlaceBuckets.moves": buckets,

	"eraft.Config.nodes": boundOfMessage, "eraft.Config.groups": boundOfMessage, "eraft.Config.owners": buckets, "eraft.Config.change": boundOfMessage,
	"eraft.Config.previous_owners": buckets, "eraft.Config.moved_versions": buckets, "eraft.Config.moves_pending": buckets, "eraft.Config.pinned": buckets,
	"eraft.Config.forced_quorums": boundOfMessage, "eraft.Config.reverting": buckets, "eraft.MetaReply.configs": boundOfMessage,
	"eraft.Node.name": aName, "eraft.Node.address": anAddress, "eraft.Node.resp": anAddress, "eraft.Node.http": anAddress,
	"eraft.Node.labels": {MaxLabels, MaxLabelBytes}, "eraft.Group.nodes": replicas, "eraft.Group.initial_voters": replicas,

	"eraft.RaftMessages.messages": boundOfMessage, "eraft.RaftMessage.entries": boundOfMessage, "eraft.Entry.data": boundOfMessage,
	"eraft.ConfState.voters": replicas, "eraft.ConfState.learners": replicas, "eraft.ConfState.outgoing": replicas,
	"eraft.ConfState.learners_next": replicas,
	"eraft.SnapshotChunk.pairs":     boundOfMessage, "eraft.SnapshotChunk.reply_address": anAddress, "eraft.SnapshotChunk.reply_id": aPath,

	"eraft.Hello.address": anAddress, "eraft.Hello.name": aName, "eraft.Hello.reply_id": aPath, "eraft.Hello.reply_address": anAddress,
	"eraft.HelloReply.address": anAddress, "eraft.HelloReply.name": aName, "eraft.HelloReply.silent_seeds": {MaxBootstrapPeers, MaxAddressBytes},
	"eraft.HelloReply.peers": {count: MaxBootstrapPeers}, "eraft.HelloReply.dialed_address": anAddress, "eraft.Hello.dialed_address": anAddress,
	"eraft.BootstrapPeer.name": aName, "eraft.BootstrapPeer.address": anAddress,
	"eraft.NodeAddresses.nodes": {count: MaxNodes}, "eraft.NodeAddresses.reply_address": anAddress, "eraft.NodeAddress.address": anAddress,
	"eraft.JoinRequest.reply_address": anAddress, "eraft.JoinRequest.reply_id": aPath, "eraft.JoinReply.text": aText,
	"eraft.ConfigPull.reply_address": anAddress, "eraft.ConfigPull.reply_id": aPath,
	"eraft.StatusPull.reply_address": anAddress, "eraft.StatusPull.reply_id": aPath,
	"eraft.NodeStatus.replicas": boundOfMessage, "eraft.NodeStatus.lagging_groups": {count: MaxGroups + 1}, "eraft.NodeStatus.json": boundOfMessage, "eraft.NodeStatus.sizes": buckets,
	"eraft.ReplicaStatus.role": aName, "eraft.PlacementStatus.steps": boundOfMessage, "eraft.PlacementStatus.sizes": {count: MaxGroups},
	"eraft.PlanStep.what": aText, "eraft.PlanStep.from": aText, "eraft.PlanStep.to": aText, "eraft.PlanStep.reason": aText,
}

// maxRecordKey bounds the key of a record: a client's, and where it belongs.
const maxRecordKey = MaxKeyBytes + 64

// whole bounds a message as a whole; there is a test that reaches it.
type messageBound struct {
	bytes int
	test  string // in which package, and its name
}

// wholes are the messages that are made of many parts, or of parts that may be large. Who makes one stops in time.
var messageBounds = map[protoreflect.FullName]messageBound{
	"eraft.Command":         {MaxCommandBytes, "messages.TestCommandsAtTheirLimits"},
	"eraft.Query":           {MaxQueryBytes, "messages.TestCommandsAtTheirLimits"},
	"eraft.ShardCommand":    {MaxCommandBytes, "messages.TestCommandsAtTheirLimits"},
	"eraft.MetaCommand":     {MaxCommandBytes, "messages.TestCommandsAtTheirLimits"},
	"eraft.Batch":           {MaxCommandBytes, "messages.TestCommandsAtTheirLimits"},
	"eraft.Entry":           {MaxCommandBytes + 64, "raftactor.TestEntriesCanBeSent"},
	"eraft.RaftMessage":     {MaxCommandBytes + 1024, "raft.TestAppendsCanBeSent"},
	"eraft.RaftMessages":    {MaxMessageBytes, "raftactor.TestRaftMessagesCanBeSent"},
	"eraft.Requests":        {MaxMessageBytes, "router.TestSplitKeepsEverything"},
	"eraft.SessionRequests": {MaxMessageBytes, "router.TestSplitKeepsEverything"},
	"eraft.Reply":           {MaxReplyBytes, "raftactor.TestAnswersCanBeSent"},
	"eraft.Replies":         {MaxMessageBytes, "raftactor.TestAnswersCanBeSent"},
	"eraft.Page":            {MaxReplyBytes, "shardkv.TestPagesAreBounded"},
	"eraft.BucketChunk":     {MaxReplyBytes, "raftactor.TestAnswersCanBeSent"},
	"eraft.MetaReply":       {MaxReplyBytes, "meta.TestConfigsCanBeSent"},
	"eraft.Config":          {MaxConfigBytes, "meta.TestConfigsCanBeSent"},
	"eraft.Pair":            {MaxMessageBytes - 64<<10, "raftactor.TestChunksCanBeSent"},
	"eraft.SnapshotChunk":   {MaxMessageBytes, "raftactor.TestChunksCanBeSent"},
	"eraft.NodeStatus":      {MaxMessageBytes, "cluster.TestStatusCanBeSent"},
}

// Within tells which field of a message is above its bound; nil: none.
func CheckBounds(m protoreflect.ProtoMessage) *Error { return checkBounds(m.ProtoReflect()) }

func checkBounds(m protoreflect.Message) (why *Error) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		most := bounds[f.FullName()]
		if !f.IsList() {
			why = withinOne(f, v, most)
			return why == nil
		}
		list := v.List()
		if most.count > 0 && list.Len() > most.count {
			why = Errorf(Code_INVALID, "%s are %d; %d is the most", f.Name(), list.Len(), most.count)
		}
		for i := 0; why == nil && i < list.Len(); i++ {
			why = withinOne(f, list.Get(i), most)
		}
		return why == nil
	})
	return why
}

func withinOne(f protoreflect.FieldDescriptor, v protoreflect.Value, most bound) *Error {
	size := 0
	switch f.Kind() {
	case protoreflect.MessageKind:
		return checkBounds(v.Message())
	case protoreflect.BytesKind:
		size = len(v.Bytes())
	case protoreflect.StringKind:
		size = len(v.String())
	}
	if most.bytes > 0 {
		return checkSize(string(f.Name()), size, most.bytes)
	}
	return nil
}

// MostBytes is how many bytes a message may have whose fields are within their bounds. All of them must have one.
func MostBytes(d protoreflect.MessageDescriptor) int {
	if w, ok := messageBounds[d.FullName()]; ok {
		return w.bytes
	}
	sum, oneOf := 0, map[protoreflect.FullName]int{}
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		n := mostOfField(f)
		if o := f.ContainingOneof(); o != nil {
			oneOf[o.FullName()] = max(oneOf[o.FullName()], n)
			continue
		}
		sum += n
	}
	for _, n := range oneOf {
		sum += n
	}
	return sum
}

func mostOfField(f protoreflect.FieldDescriptor) int {
	most, known := bounds[f.FullName()]
	if one := f.Kind() == protoreflect.BytesKind || f.Kind() == protoreflect.StringKind; !known && (one || f.IsList()) {
		panic("nobody has said how large " + string(f.FullName()) + " may be")
	}
	one := 10
	switch f.Kind() {
	case protoreflect.MessageKind:
		one = protowire.SizeBytes(MostBytes(f.Message()))
	case protoreflect.BytesKind, protoreflect.StringKind:
		one = protowire.SizeBytes(most.bytes)
	}
	return max(1, most.count) * (protowire.SizeTag(f.Number()) + one)
}
