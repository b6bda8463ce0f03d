package clustertest

import (
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// ownershipChecker checks that only the owner of a bucket uses it, as the config chain says, and that every request is executed
// once. It looks at each log entry when the first replica applies it: State Machine Safety compares the other replicas with it.
type ownershipChecker struct {
	owners  map[uint32][]ownerSince   // of a bucket, one after the other
	current map[uint32]int            // which of them was seen to use the bucket, or to have given it away
	frozen  map[groupBucket]freeze    // when a group gave a bucket away last
	replies map[sessionRequest]uint64 // sums of the answers
	buckets int                       // of buckets
}

type (
	ownerSince     struct{ since, group uint64 }
	sessionRequest struct{ session, seq uint64 }
	groupBucket    struct {
		group  messages.GroupID
		bucket uint32
	}
	freeze struct{ version, index uint64 } // version of the config that moved the bucket; index in the group's log
)

func newOwnershipChecker(buckets int) ownershipChecker {
	return ownershipChecker{owners: map[uint32][]ownerSince{}, current: map[uint32]int{}, frozen: map[groupBucket]freeze{}, replies: map[sessionRequest]uint64{}, buckets: buckets}
}

// onConfig takes the owners of all buckets from a new config.
func (c *ownershipChecker) onConfig(config *messages.Config) {
	for i, owner := range config.GetOwners() {
		id := uint32(i)
		all := c.owners[id]
		if n := len(all); owner != 0 && (n == 0 || all[n-1].group != owner) {
			c.owners[id] = append(all, ownerSince{config.Version, owner})
		}
	}
}

// onApply checks a command at an index of a group's log that no replica has applied before, and its reply.
func (c *ownershipChecker) onApply(o *Oracle, group messages.GroupID, index uint64, command []byte, reply *messages.Reply, sum uint64) {
	m := new(messages.Command)
	if proto.Unmarshal(command, m) != nil {
		return
	}
	if group == messages.Meta {
		c.onMetaApply(o, m, reply)
		return
	}
	if pull := m.GetShard().GetFreezeBucket().GetPull(); pull != nil && !reply.GetChunk().GetNotReady() {
		c.onRelease(pull.Bucket, pull.ConfigVersion)
		if g := (groupBucket{group, pull.Bucket}); c.frozen[g].version < pull.ConfigVersion && !reply.GetChunk().GetAbandoned() {
			c.frozen[g] = freeze{pull.ConfigVersion, index}
		}
	}
	key := m.Key()
	if key == nil || reply.GetCode() != messages.Code_OK && reply.GetCode() != messages.Code_CONFLICT {
		return
	}
	c.checkUse(o, group, uint32(messages.BucketOf(key, c.buckets)), "writes")
	if m.Session == 0 {
		return
	}
	r := sessionRequest{m.Session, m.Seq}
	if was, ok := c.replies[r]; ok && was != sum {
		o.violated("Exactly once", "group %d answers %x/%d in another way than the first time: %v", group, m.Session, m.Seq, reply)
	}
	c.replies[r] = sum
}

// onMetaApply checks a command of group 0: it creates a config when it is executed for the first time, and never again.
func (c *ownershipChecker) onMetaApply(o *Oracle, m *messages.Command, reply *messages.Reply) {
	r := sessionRequest{m.Session, m.Seq}
	_, again := c.replies[r]
	if c.replies[r] = 0; m.Session == 0 {
		again = false
	}
	config := reply.GetMeta().GetConfig()
	if config.GetVersion() <= o.config.GetVersion() {
		return
	}
	if again {
		o.violated("Exactly once", "meta makes config %d (%s) of %x/%d, which it has answered before", config.Version, config.Change, m.Session, m.Seq)
	}
	o.config = config
	o.checkConfigChain(config)
	c.onConfig(config)
}

// onRelease notes that the owner of a bucket before the config of this version uses the bucket no more.
func (c *ownershipChecker) onRelease(id uint32, version uint64) {
	for c.current[id]+1 < len(c.owners[id]) && c.owners[id][c.current[id]].since < version {
		c.current[id]++
	}
}

// checkUse checks that only one group at a time uses a bucket: once an owner of the chain has used it, the earlier ones must not.
func (c *ownershipChecker) checkUse(o *Oracle, group messages.GroupID, id uint32, how string) {
	all := c.owners[id]
	for i := c.current[id]; i < len(all); i++ {
		if all[i].group == uint64(group) {
			c.current[id] = i
			return
		}
	}
	o.violated("One owner per bucket and config", "group %d %s bucket %d, whose owners are %v and which number %d of them has already", group, how, id, all, c.current[id])
}

// onRead checks a read at an index of a group's log. A read at an index before the freeze is allowed: a replica that has not
// applied the freeze yet may answer requests that were sent before it.
func (c *ownershipChecker) onRead(o *Oracle, group messages.GroupID, index uint64, bucket uint32) {
	if index >= c.frozen[groupBucket{group, bucket}].index {
		c.checkUse(o, group, bucket, "reads")
	}
}
