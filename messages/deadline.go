package messages

import "google.golang.org/protobuf/encoding/protowire"

// MaxDeadlineMs is how far ahead of log time a command's until may be: what is kept of it for a retry is kept so long.
const MaxDeadlineMs = 60_000

const fieldDeadline = 5

// CheckDeadline tells why a command may not be applied at a log time; nil: it may. Leaders ask before they propose, and machines
// when they apply.
func CheckDeadline(deadline, nowMs uint64) *Error {
	switch {
	case deadline == 0:
		return nil
	case deadline < nowMs:
		return Errorf(Code_EXPIRED, "it could be applied until %d ms ago; not applied", nowMs-deadline)
	case deadline > nowMs+MaxDeadlineMs:
		return Errorf(Code_EXPIRED, "its time ends in %d ms; %d is the most; not applied", deadline-nowMs, MaxDeadlineMs)
	}
	return nil
}

// DeadlineOf reads until off an encoded Command, without decoding the rest; 0: it has none.
func DeadlineOf(encoded []byte) (deadline uint64) {
	eachField(encoded, func(number protowire.Number, kind protowire.Type, whole, content []byte) {
		if number == fieldDeadline && kind == protowire.VarintType {
			deadline, _ = protowire.ConsumeVarint(content)
		}
	})
	return deadline
}

// WithDeadline gives an encoded Command with another until, or without one if that is 0.
func WithDeadline(encoded []byte, deadline uint64) []byte {
	out := make([]byte, 0, len(encoded)+8)
	put := deadline == 0
	eachField(encoded, func(number protowire.Number, _ protowire.Type, whole, _ []byte) {
		if number == fieldDeadline {
			return
		}
		if number > fieldDeadline && !put { // fields are in order, so that CommandDecoder need not allocate
			put = true
			out = protowire.AppendVarint(protowire.AppendTag(out, fieldDeadline, protowire.VarintType), deadline)
		}
		out = append(out, whole...)
	})
	return out
}

// eachField shows the fields of a well-formed message.
func eachField(encoded []byte, see func(number protowire.Number, kind protowire.Type, whole, content []byte)) {
	for len(encoded) > 0 {
		number, kind, tag := protowire.ConsumeTag(encoded)
		if tag < 0 {
			return
		}
		size := protowire.ConsumeFieldValue(number, kind, encoded[tag:])
		if size < 0 {
			return
		}
		see(number, kind, encoded[:tag+size], encoded[tag:tag+size])
		encoded = encoded[tag+size:]
	}
}
