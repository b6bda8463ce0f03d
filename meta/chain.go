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

// The config chain in the store. Every fullInterval-th version is stored whole, the others as what differs from the version before.
// So a version costs what it changes, and reading any of them takes at most fullInterval records:
//
//	c<version>  a Config; versions are 8 bytes big endian, from 1, without gaps
//	d<version>  a ConfigDelta from the version before
//
// All versions of a cluster below feature level deltaLevel are stored whole.
const fullInterval = 64

// deltaLevel is the feature level from which on versions are stored as deltas, removed nodes leave the config after a while, and
// a node is admitted at an address that the config lists for another node.
const deltaLevel messages.Level = 2

func configKey(version uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'c'}, version) }
func deltaKey(version uint64) []byte  { return binary.BigEndian.AppendUint64([]byte{'d'}, version) }

// appendConfig writes the version that follows before, which is nil for the first.
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

// newestConfig reads the newest version, which it finds by bisection; nil: the chain is empty.
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
	low, high := uint64(0), uint64(1) // version low exists, or low is 0
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

// readConfig reads a version that exists: the whole version at or before it, and the deltas since.
func readConfig(store persistence.Reader, version uint64) (*messages.Config, error) {
	var deltas []*messages.ConfigDelta // newest first
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
		delta, err := readDelta(store, at)
		if err != nil {
			return nil, err
		}
		deltas = append(deltas, delta)
	}
	for _, delta := range slices.Backward(deltas) {
		next, err := applyDelta(config, delta)
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

// readHead reads what a version says of itself, for people: its change, and when and by whom it was made.
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

// filterFields is a config with some of its fields only. Their values are shared.
func filterFields(config *messages.Config, keep func(protoreflect.FieldDescriptor) bool) *messages.Config {
	next, from := new(messages.Config), config.ProtoReflect()
	from.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if keep(f) {
			next.ProtoReflect().Set(f, v)
		}
		return true
	})
	return next
}

// withoutLists is a config without its lists, which grow with nodes, groups and buckets. What is left is shared.
func withoutLists(config *messages.Config) *messages.Config {
	return filterFields(config, func(f protoreflect.FieldDescriptor) bool { return !f.IsList() })
}

// equalConfigs reports whether two configs are equal. Lists of buckets are compared without reflection, since they are long.
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

// deltaOf is what differs between two versions: applyDelta(before, deltaOf(before, next)) is next. If it is not, no delta can say
// what differs, and the version is stored whole.
func deltaOf(before, next *messages.Config) *messages.ConfigDelta {
	step := &messages.ConfigDelta{Head: withoutLists(next)}
	for _, n := range next.Nodes {
		if !proto.Equal(before.FindNode(n.Id), n) {
			step.Nodes = append(step.Nodes, n)
		}
	}
	for _, n := range before.Nodes {
		if next.FindNode(n.Id) == nil {
			step.NodesRemoved = append(step.NodesRemoved, n.Id)
		}
	}
	for _, g := range next.Groups {
		if !proto.Equal(before.FindGroup(g.Id), g) {
			step.Groups = append(step.Groups, g)
		}
	}
	for _, g := range before.Groups {
		if next.FindGroup(g.Id) == nil {
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

// bucketState is what a config says of one bucket.
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

// applyDelta makes the next version from the one before.
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

// mergeByID applies changes to a list that is sorted by id: those in changed are replaced or inserted, those in gone removed.
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
