package raftactor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/eraft-io/eraft/messages"
)

// A status is reported when something in it has changed, whatever it is.
func TestStatusIsReportedWhenItChanges(t *testing.T) {
	var a announced
	status := &messages.ReplicaStatus{Group: 5, Role: "leader", Term: 3}
	require.True(t, a.update(status))
	require.False(t, a.update(proto.CloneOf(status)))
	fields := status.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field, next := fields.Get(i), proto.CloneOf(status)
		if field.Name() == "group" || field.Name() == "conf" { // a replica has one group; a change of the membership is an entry
			continue
		}
		m := next.ProtoReflect()
		switch v := m.Get(field).Interface().(type) {
		case bool:
			m.Set(field, protoreflect.ValueOf(!v))
		case uint64:
			m.Set(field, protoreflect.ValueOf(v+1))
		case string:
			m.Set(field, protoreflect.ValueOf(v+"!"))
		default:
			t.Fatalf("field %s has an unknown type", field.Name())
		}
		require.True(t, a.update(next), "%s", field.Name())
		status = next
	}
}
