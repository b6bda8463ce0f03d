package messages

import "google.golang.org/protobuf/encoding/protowire"

// CommandDecoder decodes Commands one after the other. What most logs are full of, a plain Put with its session, it
// reads in place and without allocating: every replica decodes every command once. All others are decoded as ever.
//
// The Command is valid until the next Decode, and its bytes are parts of encoded, which must not change.
type CommandDecoder struct {
	command Command
	op      Command_Put
	put     Put
}

// Decode reads an encoded Command of an entry of a feature level, see Position.Level. Up to FirstLevel it accepts and refuses
// exactly what proto.Unmarshal does, and gives the same, but for fields of later levels: they are left out. Above, it also
// refuses what is not known here and what is of a later level than the entry. A command that is not in a log yet is read
// with NewestLevel.
func (d *CommandDecoder) Decode(encoded []byte, level Level) (*Command, error) {
	if d.decodePut(encoded, level) {
		return &d.command, nil
	}
	return decodeCommand(encoded, level)
}

// Field numbers of Command and Put that decodePut knows, beside fieldDeadline: all of them have FirstLevel. One of a later level
// must not be taken from an entry of an earlier one.
const (
	fieldSession, fieldSeq, fieldAcked, fieldPut = 1, 2, 3, 10
	fieldKey, fieldValue, fieldMode, fieldPrev   = 1, 2, 3, 4
)

func (d *CommandDecoder) decodePut(encoded []byte, level Level) bool {
	var numbers [fieldDeadline + 1]uint64
	for len(encoded) > 0 {
		number, kind, n := protowire.ConsumeTag(encoded)
		if n < 0 {
			return false
		}
		encoded = encoded[n:]
		if number == fieldPut && kind == protowire.BytesType {
			// It must be the last field: a second op, or one to merge with, is not for us.
			body, n := protowire.ConsumeBytes(encoded)
			if n != len(encoded) || !d.fillPut(body) {
				return false
			}
			d.op.Put = &d.put
			d.command.Session, d.command.Seq, d.command.Acked = numbers[fieldSession], numbers[fieldSeq], numbers[fieldAcked]
			d.command.DeadlineMs = numbers[fieldDeadline]
			d.command.Op = &d.op
			return true
		}
		if known := number <= fieldAcked || number == fieldDeadline && level >= DeadlineLevel; !known || kind != protowire.VarintType {
			return false
		}
		v, n := protowire.ConsumeVarint(encoded)
		if n < 0 {
			return false
		}
		numbers[number], encoded = v, encoded[n:]
	}
	return false
}

func (d *CommandDecoder) fillPut(body []byte) bool {
	d.put.Key, d.put.Value, d.put.Mode, d.put.ReturnPrevious = nil, nil, Put_ALWAYS, false
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return false
		}
		body = body[n:]
		switch {
		case kind == protowire.BytesType && (number == fieldKey || number == fieldValue):
			part, n := protowire.ConsumeBytes(body)
			if n < 0 {
				return false
			}
			if body = body[n:]; len(part) == 0 {
				part = nil
			}
			if number == fieldKey {
				d.put.Key = part
			} else {
				d.put.Value = part
			}
		case kind == protowire.VarintType && (number == fieldMode || number == fieldPrev):
			v, n := protowire.ConsumeVarint(body)
			if n < 0 {
				return false
			}
			if body = body[n:]; number == fieldMode {
				if v > uint64(Put_IF_PRESENT) {
					return false
				}
				d.put.Mode = Put_Mode(v)
			} else {
				d.put.ReturnPrevious = protowire.DecodeBool(v)
			}
		default:
			return false
		}
	}
	return true
}
