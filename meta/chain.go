package meta

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// The chain of configs on disk. One version in fullInterval is whole, the others are what differs from the version before, so
// that what a version costs is what it changes, and any of them is read with few records:
//
//	c<version>  a Config; versions are 8 bytes big endian, from 1, without gaps
//	d<version>  a ConfigDelta from the version before
//
// Versions from before the cluster had the level deltaLevel are all whole.
const fullInterval = 64

// deltaLevel is the feature level from which on versions are kept as steps, removed nodes are forgotten, and an address that
// the config gives to another node is no reason to refuse a node that is there.
const deltaLevel messages.Level = 2

func configKey(version uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'c'}, version) }
func deltaKey(version uint64) []byte  { return binary.BigEndian.AppendUint64([]byte{'d'}, version) }

// appendConfig writes a version behind the one before.
func appendConfig(tx persistence.Tx, before, next *messages.Config) error {
	key, record := configKey(next.Version), proto.Message(next)
	if before.FeatureLevel() >= deltaLevel && next.Version%fullInterval != 0 {
		step := deltaOf(before, next)
		if again, err := applyDelta(before, step); err == nil && equalConfigs(again, next) {
			key, record = deltaKey(next.Version), step
		}
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode config %d: %w", next.Version, err)
	}
	tx.Put(key, body)
	return nil
}

// newestConfig finds the end of the chain without reading all of it; nil: there is none.
func newestConfig(store persistence.Reader) (*messages.Config, error) {
	var failed error
	exists := func(version uint64) bool {
		for _, key := range [][]byte{configKey(version), deltaKey(version)} {
			_, found, err := store.Get(key)
			if err != nil {
				failed = err
			}
			if found {
				return true
			}
		}
		return false
	}
	low, high := uint64(0), uint64(1) // low exists, or is 0
	for exists(high) {
		low, high = high, 2*high
	}
	for high-low > 1 && failed == nil {
		if mid := low + (high-low)/2; exists(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	if failed != nil || low == 0 {
		return nil, failed
	}
	return readConfig(store, low)
}

// readConfig reads a version that the chain has.
func readConfig(store persistence.Reader, version uint64) (*messages.Config, error) {
	var steps []*messages.ConfigDelta // newest first
	config := new(messages.Config)
	for at := version; ; at-- {
		value, found, err := store.Get(configKey(at))
		if err != nil {
			return nil, err
		}
		if found {
			if err := proto.Unmarshal(value, config); err != nil || config.Version != at {
				return nil, fmt.Errorf("config %d is damaged, it calls itself %d: %w", at, config.Version, err)
			}
			break
		}
		step, err := readDelta(store, at)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	for _, step := range slices.Backward(steps) {
		next, err := applyDelta(config, step)
		if err != nil {
			return nil, err
		}
		config = next
	}
	return config, nil
}

func readDelta(store persistence.Reader, version uint64) (*messages.ConfigDelta, error) {
	value, found, err := store.Get(deltaKey(version))
	if err != nil {
		return nil, err
	}
	step := new(messages.ConfigDelta)
	if !found {
		return nil, fmt.Errorf("config %d is missing in the chain", version)
	}
	if err := proto.Unmarshal(value, step); err != nil || step.GetHead().GetVersion() != version {
		return nil, fmt.Errorf("config %d is damaged, it calls itself %d: %w", version, step.GetHead().GetVersion(), err)
	}
	return step, nil
}

// readHead reads what a version says of itself, for people: its change, when that was, and by whom.
func readHead(store persistence.Reader, version uint64) (*messages.Config, error) {
	value, found, err := store.Get(configKey(version))
	if err != nil {
		return nil, err
	}
	config := new(messages.Config)
	if found {
		err = proto.Unmarshal(value, config)
	} else {
		var step *messages.ConfigDelta
		step, err = readDelta(store, version)
		config = step.GetHead()
	}
	if err != nil {
		return nil, err
	}
	return &messages.Config{Version: config.Version, ClusterId: config.ClusterId, Change: config.Change, TimeMs: config.TimeMs, RequestedBy: config.RequestedBy}, nil
}

// without is a config but for some of its fields; what is left is shared.
func filterFields(config *messages.Config, left func(protoreflect.FieldDescriptor) bool) *messages.Config {
	next, from := new(messages.Config), config.ProtoReflect()
	from.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if left(f) {
			next.ProtoReflect().Set(f, v)
		}
		return true
	})
	return next
}

// head is a config without what grows with nodes, groups and buckets.
func withoutLists(config *messages.Config) *messages.Config {
	return filterFields(config, func(f protoreflect.FieldDescriptor) bool { return !f.IsList() })
}

// same tells whether two configs are equal, fast for many buckets.
func equalConfigs(a, b *messages.Config) bool {
	rest := func(config *messages.Config) *messages.Config {
		return filterFields(config, func(f protoreflect.FieldDescriptor) bool {
			return !slices.Contains([]protoreflect.Name{"owners", "previous", "moved", "arriving", "returning", "pinned"}, f.Name())
		})
	}
	return slices.Equal(a.Owners, b.Owners) && slices.Equal(a.PreviousOwners, b.PreviousOwners) && slices.Equal(a.MovedVersions, b.MovedVersions) &&
		slices.Equal(a.MovesPending, b.MovesPending) && slices.Equal(a.Reverting, b.Reverting) && slices.Equal(a.Pinned, b.Pinned) &&
		proto.Equal(rest(a), rest(b))
}

// deltaOf is what differs between two versions. take(before, deltaOf(before, next)) is next, or there is no step between them.
func deltaOf(before, next *messages.Config) *messages.ConfigDelta {
	step := &messages.ConfigDelta{Head: withoutLists(next)}
	for _, n := range next.Nodes {
		if !proto.Equal(findNode(before, n.Id), n) {
			step.Nodes = append(step.Nodes, n)
		}
	}
	for _, n := range before.Nodes {
		if findNode(next, n.Id) == nil {
			step.NodesRemoved = append(step.NodesRemoved, n.Id)
		}
	}
	for _, g := range next.Groups {
		if !proto.Equal(findGroup(before, g.Id), g) {
			step.Groups = append(step.Groups, g)
		}
	}
	for _, g := range before.Groups {
		if findGroup(next, g.Id) == nil {
			step.GroupsRemoved = append(step.GroupsRemoved, g.Id)
		}
	}
	if n := len(before.ForcedQuorums); n <= len(next.ForcedQuorums) {
		step.ForcedQuorums = next.ForcedQuorums[n:]
	}
	was, is := bucketStates(before), bucketStates(next)
	for b := range is {
		if len(was) != len(is) || is[b] != was[b] {
			step.Buckets = append(step.Buckets, &messages.BucketDelta{
				Bucket: uint32(b), Owner: is[b].owner, PreviousOwner: is[b].previous, MovedVersion: is[b].moved,
				MovePending: is[b].arriving, Reverting: is[b].returning, Pinned: is[b].pinned,
			})
		}
	}
	return step
}

// bucketState is all that a config says of a bucket.
type bucketState struct {
	owner, previous, moved      uint64
	arriving, returning, pinned bool
}

func bucketStates(config *messages.Config) []bucketState {
	all := make([]bucketState, len(config.GetOwners()))
	for b, owner := range config.GetOwners() {
		if all[b].owner = owner; len(config.PreviousOwners) == len(all) && len(config.MovedVersions) == len(all) {
			all[b].previous, all[b].moved = config.PreviousOwners[b], config.MovedVersions[b]
		}
	}
	for _, b := range config.GetMovesPending() {
		all[b].arriving = true
	}
	for _, b := range config.GetReverting() {
		all[b].returning = true
	}
	for _, b := range config.GetPinned() {
		all[b].pinned = true
	}
	return all
}

// take makes the next version.
func applyDelta(before *messages.Config, step *messages.ConfigDelta) (*messages.Config, error) {
	if step.GetHead() == nil || step.Head.Version != before.Version+1 {
		return nil, fmt.Errorf("the config chain has %d behind %d", step.GetHead().GetVersion(), before.Version)
	}
	next := withoutLists(step.Head)
	next.Nodes = mergeByID(before.Nodes, step.Nodes, step.NodesRemoved, (*messages.Node).GetId)
	next.Groups = mergeByID(before.Groups, step.Groups, step.GroupsRemoved, (*messages.Group).GetId)
	next.ForcedQuorums = slices.Concat(before.ForcedQuorums, step.ForcedQuorums)
	states := bucketStates(before)
	for _, b := range step.Buckets {
		if int(b.Bucket) >= len(states) {
			return nil, fmt.Errorf("config %d changes bucket %d of %d", step.Head.Version, b.Bucket, len(states))
		}
		states[b.Bucket] = bucketState{b.Owner, b.PreviousOwner, b.MovedVersion, b.MovePending, b.Reverting, b.Pinned}
	}
	for b, s := range states {
		next.Owners, next.PreviousOwners, next.MovedVersions = append(next.Owners, s.owner), append(next.PreviousOwners, s.previous), append(next.MovedVersions, s.moved)
		for _, list := range []struct {
			to *[]uint32
			in bool
		}{{&next.MovesPending, s.arriving}, {&next.Reverting, s.returning}, {&next.Pinned, s.pinned}} {
			if list.in {
				*list.to = append(*list.to, uint32(b))
			}
		}
	}
	return next, nil
}

// merge puts what has changed into a list that is sorted by id.
func mergeByID[T any](before, changed []T, gone []uint64, id func(T) uint64) []T {
	next := slices.DeleteFunc(slices.Clone(before), func(x T) bool { return slices.Contains(gone, id(x)) })
	for _, c := range changed {
		i, found := slices.BinarySearchFunc(next, id(c), func(x T, want uint64) int {
			return int(int64(id(x)) - int64(want))
		})
		if found {
			next[i] = c
		} else {
			next = slices.Insert(next, i, c)
		}
	}
	return next
}
