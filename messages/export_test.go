package messages

import "google.golang.org/protobuf/reflect/protoreflect"

// BoundOf is how many elements a field may have, or else how many bytes; 0: what its message has room for.
func BoundOf(f protoreflect.FieldDescriptor) int {
	if f.IsList() {
		return bounds[f.FullName()].count
	}
	return bounds[f.FullName()].bytes
}

// Bounded tells whether it is said how large a field may be.
func Bounded(f protoreflect.FieldDescriptor) bool {
	_, known := bounds[f.FullName()]
	return known
}

// Tests are the tests that reach the bounds of messages as wholes, by message: package and name.
func Tests() map[protoreflect.FullName]string {
	all := map[protoreflect.FullName]string{}
	for name, w := range messageBounds {
		all[name] = w.test
	}
	return all
}
