package messages

import (
	"encoding/binary"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// Block is encoded commands one behind the other, each behind its length as a varint: the data of an Entry. Between who
// proposes an entry and who applies it nobody looks into one: it is sent, written and kept as a whole.
type Block []byte

// BlockOf makes a Block of commands.
func BlockOf(commands ...[]byte) Block {
	var b Block
	for _, command := range commands {
		b = b.Append(command)
	}
	return b
}

// Append adds a copy of a command.
func (b Block) Append(command []byte) Block {
	return append(binary.AppendUvarint(b, uint64(len(command))), command...)
}

// BlockSize is by how many bytes a command makes a Block larger.
func BlockSize(command []byte) int {
	return protowire.SizeBytes(len(command))
}

// Commands gives one after the other, counted from 0; they are parts of the Block. It ends where a Block is damaged: who
// takes one from outside asks Whole first.
func (b Block) Commands() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		rest := b
		for i := 0; len(rest) > 0; i++ {
			command, more, ok := rest.cut()
			if !ok || !yield(i, command) {
				return
			}
			rest = more
		}
	}
}

// Whole tells whether Commands gives all that is there.
func (b Block) Complete() bool {
	for ok := true; len(b) > 0; {
		if _, b, ok = b.cut(); !ok {
			return false
		}
	}
	return true
}

func (b Block) cut() (command []byte, rest Block, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, b, false
	}
	end := n + int(size)
	return b[n:end:end], b[end:], true
}
