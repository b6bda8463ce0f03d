package messages

import "google.golang.org/protobuf/encoding/protowire"

// MaxUntilMs is how far ahead of log time a command's until may be: what is kept of it for a retry is kept so long.
const MaxUntilMs = 60_000

const fieldUntil = 5

// CheckUntil tells why a command may not be applied at a log time; nil: it may. Leaders ask before they propose, and machines
// when they apply.
func CheckUntil(until, nowMs uint64) *Error {
	switch {
	case until == 0:
		return nil
	case until < nowMs:
		return Errorf(Code_EXPIRED, "it could be applied until %d ms ago; not applied", nowMs-until)
	case until > nowMs+MaxUntilMs:
		return Errorf(Code_EXPIRED, "its time ends in %d ms; %d is the most; not applied", until-nowMs, MaxUntilMs)
	}
	return nil
}

// UntilOf reads until off an encoded Command, without decoding the rest; 0: it has none.
func UntilOf(encoded []byte) (until uint64) {
	eachField(encoded, func(number protowire.Number, kind protowire.Type, whole, content []byte) {
		if number == fieldUntil && kind == protowire.VarintType {
			until, _ = protowire.ConsumeVarint(content)
		}
	})
	return until
}

// WithUntil gives an encoded Command with another until, or without one if that is 0.
func WithUntil(encoded []byte, until uint64) []byte {
	out := make([]byte, 0, len(encoded)+8)
	put := until == 0
	eachField(encoded, func(number protowire.Number, _ protowire.Type, whole, _ []byte) {
		if number == fieldUntil {
			return
		}
		if number > fieldUntil && !put { // fields are in order, so that CommandDecoder need not allocate
			put = true
			out = protowire.AppendVarint(protowire.AppendTag(out, fieldUntil, protowire.VarintType), until)
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
