package messages

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Level is a feature level: which fields, commands and enum values of a log a program understands. A replica that ignores
// what another one obeys would have other data, so nothing of a level enters a log before every node of the cluster has
// that level. What all of them have the config chain says (Config.level), and it never goes back.
type Level uint32

const (
	// FirstLevel is that of nodes, clusters and entries that say nothing about levels.
	FirstLevel Level = 1
	// NewestLevel is that of this program: one above the last release's as soon as a log may hold anything new.
	NewestLevel Level = 2
	// DeadlineLevel has commands that say until when they may be applied, and log time that follows the clocks of a majority.
	DeadlineLevel Level = 2
	// RequesterLevel has config commands that say who asks for them.
	RequesterLevel Level = 2
)

// later names what of a Command or a ConfChange came after FirstLevel, and with which level: fields and enum values by their
// full names ("eraft.Command.deadline_ms", "eraft.Put.IF_NEWER"). All else needs FirstLevel. CONTRIBUTING says how to add to it.
//
// Two things are not in it, since a replica that ignores them has the same state as one that knows them. RaiseLevel is
// committed when every node has said, for good, that it has the level. AddNode.level refuses nothing below level 2.
var introducedAt = map[protoreflect.FullName]Level{
	"eraft.Command.deadline_ms":      DeadlineLevel,
	"eraft.BucketChunk.time_ms":      DeadlineLevel,
	"eraft.MetaCommand.requested_by": RequesterLevel,
}

var commandSchema, confChangeSchema *schema

// The descriptors are there when the init of kv.pb.go, the file before this one, has run.
func init() {
	commandSchema = schemaOf((*Command)(nil).ProtoReflect().Descriptor(), introducedAt)
	confChangeSchema = schemaOf((*ConfChange)(nil).ProtoReflect().Descriptor(), introducedAt)
}

// CommandLevel is the feature level that an encoded Command needs. It fails when there is something in it, however deep, that
// this program does not know, or when it is no Command. It does not decode and does not allocate.
func CommandLevel(encoded []byte) (Level, error) { return commandSchema.level(encoded) }

// ConfChangeLevel is the same for a ConfChange.
func ConfChangeLevel(encoded []byte) (Level, error) { return confChangeSchema.level(encoded) }

// FeatureLevel is what every node of the cluster has, for good. Without a config it is FirstLevel.
func (c *Config) FeatureLevel() Level { return max(FirstLevel, Level(c.GetLevel())) }

// schema is what this program knows of a message.
type schema struct {
	name   protoreflect.FullName
	fields []*schemaField // by number; nil: there is none
}

func (s *schema) field(number protowire.Number) *schemaField {
	if int(number) >= len(s.fields) {
		return nil
	}
	return s.fields[number]
}

type schemaField struct {
	level  Level
	kind   protowire.Type
	packed bool                         // may also come as one block of numbers
	inner  *schema                      // of a message
	values map[protowire.Number]Level   // of an enum: the level of each value
	enum   protoreflect.EnumDescriptor  // of an enum, for what is said about it
	field  protoreflect.FieldDescriptor // for the same
}

func schemaOf(d protoreflect.MessageDescriptor, later map[protoreflect.FullName]Level) *schema {
	return makeSchema(d, later, map[protoreflect.FullName]*schema{})
}

func makeSchema(d protoreflect.MessageDescriptor, later map[protoreflect.FullName]Level, made map[protoreflect.FullName]*schema) *schema {
	if s := made[d.FullName()]; s != nil {
		return s
	}
	s := &schema{name: d.FullName()}
	made[d.FullName()] = s
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		f := &schemaField{level: max(FirstLevel, later[fd.FullName()]), kind: wireType(fd.Kind()), field: fd}
		f.packed = fd.IsList() && f.kind != protowire.BytesType
		if fd.Message() != nil {
			f.inner = makeSchema(fd.Message(), later, made)
		}
		if f.enum = fd.Enum(); f.enum != nil {
			f.values = map[protowire.Number]Level{}
			for j := range f.enum.Values().Len() {
				v := f.enum.Values().Get(j)
				f.values[protowire.Number(v.Number())] = max(FirstLevel, later[v.FullName()])
			}
		}
		s.fields = append(s.fields, make([]*schemaField, max(0, int(fd.Number())+1-len(s.fields)))...)
		s.fields[fd.Number()] = f
	}
	return s
}

func wireType(kind protoreflect.Kind) protowire.Type {
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

// level walks over an encoded message.
func (s *schema) level(encoded []byte) (Level, error) {
	needs := FirstLevel
	for len(encoded) > 0 {
		number, kind, size := protowire.ConsumeTag(encoded)
		if size < 0 {
			return 0, protowire.ParseError(size)
		}
		encoded = encoded[size:]
		if size = protowire.ConsumeFieldValue(number, kind, encoded); size < 0 {
			return 0, protowire.ParseError(size)
		}
		f := s.field(number)
		if f == nil || kind != f.kind && !(f.packed && kind == protowire.BytesType) {
			return 0, fmt.Errorf("field %d of %s is not known here: a newer eraft made it", number, s.name)
		}
		inside, err := f.needs(kind, encoded[:size])
		if err != nil {
			return 0, err
		}
		needs, encoded = max(needs, f.level, inside), encoded[size:]
	}
	return needs, nil
}

// needs is the level of what a field holds.
func (f *schemaField) needs(kind protowire.Type, encoded []byte) (Level, error) {
	if f.inner == nil && f.enum == nil {
		return FirstLevel, nil
	}
	if kind == protowire.BytesType {
		encoded, _ = protowire.ConsumeBytes(encoded)
	}
	if f.inner != nil {
		return f.inner.level(encoded)
	}
	needs := FirstLevel
	for len(encoded) > 0 {
		value, size := protowire.ConsumeVarint(encoded)
		if size < 0 {
			return 0, protowire.ParseError(size)
		}
		level, known := f.values[protowire.Number(int32(value))]
		if !known {
			return 0, fmt.Errorf("%s is %d, which is not known here: a newer eraft made it", f.field.FullName(), int32(value))
		}
		needs, encoded = max(needs, level), encoded[size:]
	}
	return needs, nil
}

// without gives a well-formed encoded message without the fields and enum values that came after a level: as a program of
// that level reads it. What no program knows stays.
func (s *schema) without(encoded []byte, level Level) []byte {
	var out []byte
	for len(encoded) > 0 {
		number, kind, tag := protowire.ConsumeTag(encoded)
		if tag < 0 {
			return append(out, encoded...) // whoever decodes it says so
		}
		size := protowire.ConsumeFieldValue(number, kind, encoded[tag:])
		if size < 0 {
			return append(out, encoded...)
		}
		whole, content := encoded[:tag+size], encoded[tag:tag+size]
		encoded = encoded[tag+size:]
		f := s.field(number)
		if f == nil || kind != f.kind {
			out = append(out, whole...)
			continue
		}
		needs, err := f.needs(kind, content)
		switch {
		case f.level > level:
		case f.inner != nil:
			inner, _ := protowire.ConsumeBytes(content)
			out = protowire.AppendBytes(append(out, whole[:tag]...), f.inner.without(inner, level))
		case err == nil && needs > level:
		default:
			out = append(out, whole...)
		}
	}
	return out
}

// decodeCommand decodes a Command that stands in a log, in an entry of that feature level. One that was checked before it
// entered the log has nothing unknown and nothing of a later level: else what was promised of levels does not hold, and no
// replica may go on. Entries of nodes that know no levels were not checked: what such nodes ignore is ignored.
func decodeCommand(encoded []byte, level Level) (*Command, error) {
	needs, err := CommandLevel(encoded)
	if level <= FirstLevel {
		if err != nil || needs > FirstLevel {
			encoded = commandSchema.without(slices.Clip(encoded), FirstLevel)
		}
	} else if err != nil {
		return nil, err
	} else if needs > level {
		return nil, fmt.Errorf("it needs feature level %d in an entry of level %d", needs, level)
	}
	c := new(Command)
	return c, proto.Unmarshal(encoded, c)
}
