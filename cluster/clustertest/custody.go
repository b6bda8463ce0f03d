package clustertest

import (
	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// custody is who may use which bucket, as the config chain says, and what requests have been carried out. Only what a
// group's log brings for the first time is looked at: replicas repeat it, and State Machine Safety compares them.
type custody struct {
	owners map[uint32][]tenure // of a bucket, one after the other
	now    map[uint32]int      // which of them was seen to use the bucket, or to have given it away
	frozen map[grant]freeze    // when a group gave a bucket away last
	done   map[request]uint64  // sums of the answers
	count  int                 // of buckets
}

type (
	tenure  struct{ since, group uint64 }
	request struct{ session, seq uint64 }
	grant   struct {
		group  messages.GroupID
		bucket uint32
	}
	freeze struct{ version, index uint64 } // of the config, and in the group's log
)

func newCustody(buckets int) custody {
	return custody{owners: map[uint32][]tenure{}, now: map[uint32]int{}, frozen: map[grant]freeze{}, done: map[request]uint64{}, count: buckets}
}

// chain takes the owners of buckets from a config that meta has made.
func (c *custody) chain(config *messages.Config) {
	for i, owner := range config.GetOwners() {
		id := uint32(i)
		all := c.owners[id]
		if n := len(all); owner != 0 && (n == 0 || all[n-1].group != owner) {
			c.owners[id] = append(all, tenure{config.Version, owner})
		}
	}
}

// applied sees a command that a group's log has at a place that nobody has applied before, and its answer.
func (c *custody) applied(o *Oracle, group messages.GroupID, index uint64, command []byte, reply *messages.Reply, sum uint64) {
	m := new(messages.Command)
	if proto.Unmarshal(command, m) != nil {
		return
	}
	if group == messages.Meta {
		c.ordered(o, m, reply)
		return
	}
	if pull := m.GetShard().GetFreezeBucket().GetPull(); pull != nil && !reply.GetChunk().GetNotReady() {
		c.given(pull.Bucket, pull.ConfigVersion)
		if g := (grant{group, pull.Bucket}); c.frozen[g].version < pull.ConfigVersion && !reply.GetChunk().GetAbandoned() {
			c.frozen[g] = freeze{pull.ConfigVersion, index}
		}
	}
	key := m.Key()
	if key == nil || reply.GetCode() != messages.Code_OK && reply.GetCode() != messages.Code_CONFLICT {
		return
	}
	c.used(o, group, uint32(messages.BucketOf(key, c.count)), "writes")
	if m.Session == 0 {
		return
	}
	r := request{m.Session, m.Seq}
	if was, ok := c.done[r]; ok && was != sum {
		o.violated("Each request is carried out once", "group %d answers %x/%d in another way than the first time: %v", group, m.Session, m.Seq, reply)
	}
	c.done[r] = sum
}

// ordered sees a command of meta. It makes a config when it is carried out for the first time, and never again.
func (c *custody) ordered(o *Oracle, m *messages.Command, reply *messages.Reply) {
	r := request{m.Session, m.Seq}
	_, again := c.done[r]
	if c.done[r] = 0; m.Session == 0 {
		again = false
	}
	config := reply.GetMeta().GetConfig()
	if config.GetVersion() <= o.config.GetVersion() {
		return
	}
	if again {
		o.violated("Each request is carried out once", "meta makes config %d (%s) of %x/%d, which it has answered before", config.Version, config.Change, m.Session, m.Seq)
	}
	o.config = config
	o.chained(config)
	c.chain(config)
}

// given notes that the group before the config of this version uses a bucket no more.
func (c *custody) given(id uint32, version uint64) {
	for c.now[id]+1 < len(c.owners[id]) && c.owners[id][c.now[id]].since < version {
		c.now[id]++
	}
}

// used checks that only one group at a time uses a bucket: once the next owner of the chain has, those before it must not.
func (c *custody) used(o *Oracle, group messages.GroupID, id uint32, how string) {
	all := c.owners[id]
	for i := c.now[id]; i < len(all); i++ {
		if all[i].group == uint64(group) {
			c.now[id] = i
			return
		}
	}
	o.violated("One owner per bucket and config", "group %d %s bucket %d, whose owners are %v and which number %d of them has already", group, how, id, all, c.now[id])
}

// read checks a read at an index of a group's log. One of data from before the bucket was given away is as good as its
// index: a replica that has not heard of it yet may answer who asked before.
func (c *custody) read(o *Oracle, group messages.GroupID, index uint64, bucket uint32) {
	if index >= c.frozen[grant{group, bucket}].index {
		c.used(o, group, bucket, "reads")
	}
}
