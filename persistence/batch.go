package persistence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Batch is a list of writes that take effect together. Its bytes are RocksDB's own WriteBatch format (8 bytes sequence, 4 bytes
// count little endian, then per record a tag, and key and value each behind its length as a varint), so that the
// engine on disk takes it over in one call. The zero value is an empty batch. Keys and values are copied.
type Batch struct {
	data []byte
}

const (
	batchHeader    = 12
	tagDelete      = 0x0
	tagPut         = 0x1
	tagDeleteRange = 0xF
)

func (b *Batch) appendRecord(tag byte, parts ...[]byte) {
	if b.data == nil {
		b.data = make([]byte, batchHeader, 512)
	}
	b.data = append(b.data, tag)
	for _, part := range parts {
		b.data = binary.AppendUvarint(b.data, uint64(len(part)))
		b.data = append(b.data, part...)
	}
	binary.LittleEndian.PutUint32(b.data[8:], uint32(b.Len()+1))
}

// Put sets key to value.
func (b *Batch) Put(key, value []byte) { b.appendRecord(tagPut, key, value) }

// PutInPlace sets key to the value that fill appends to what it is given, which must be size bytes: so a large value is not copied twice.
// If fill fails, or appends another number of bytes, PutInPlace fails and leaves the batch as it was.
func (b *Batch) PutInPlace(key []byte, size int, fill func(to []byte) ([]byte, error)) error {
	before := len(b.data)
	b.appendRecord(tagPut, key)
	b.data = slices.Grow(binary.AppendUvarint(b.data, uint64(size)), size)
	filled, err := fill(b.data)
	if err == nil && len(filled) != len(b.data)+size {
		err = fmt.Errorf("a value of %d bytes became %d bytes long", size, len(filled)-len(b.data))
	}
	if err != nil {
		b.data = b.data[:max(before, batchHeader)]
		binary.LittleEndian.PutUint32(b.data[8:], uint32(b.Len()-1))
		return err
	}
	b.data = filled
	return nil
}

// Delete removes key. An absent key is no error.
func (b *Batch) Delete(key []byte) { b.appendRecord(tagDelete, key) }

// DeleteRange removes every key of [low, high). high must not be empty; an empty or backward range removes nothing.
func (b *Batch) DeleteRange(low, high []byte) {
	if string(low) < string(high) {
		b.appendRecord(tagDeleteRange, low, high)
	}
}

// Len is the number of records.
func (b *Batch) Len() int {
	if len(b.data) < batchHeader {
		return 0
	}
	return int(binary.LittleEndian.Uint32(b.data[8:]))
}

// Bytes is about how many bytes of memory and disk the batch takes.
func (b *Batch) Bytes() int { return len(b.data) }

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	if b.data != nil {
		b.data = b.data[:batchHeader]
		clear(b.data)
	}
}

// Encoded is the batch in RocksDB's format. It is valid until the next change.
func (b *Batch) Encoded() []byte {
	if b.data == nil {
		b.data = make([]byte, batchHeader)
	}
	return b.data
}

// Visitor sees the records of a batch in order.
type Visitor interface {
	Put(key, value []byte)
	Delete(key []byte)
	DeleteRange(low, high []byte)
}

var errBatch = errors.New("batch is damaged")

// Each shows every record to v, in order. The slices are parts of the batch. It fails if the batch is damaged.
func (b *Batch) Each(v Visitor) error {
	if len(b.data) < batchHeader {
		return nil
	}
	rest := b.data[batchHeader:]
	next := func() []byte {
		size, n := binary.Uvarint(rest)
		if n <= 0 || uint64(len(rest)-n) < size {
			rest = nil
			return nil
		}
		part := rest[n : n+int(size) : n+int(size)]
		rest = rest[n+int(size):]
		return part
	}
	for len(rest) > 0 {
		tag := rest[0]
		rest = rest[1:]
		switch tag {
		case tagPut:
			key := next()
			v.Put(key, next())
		case tagDelete:
			v.Delete(next())
		case tagDeleteRange:
			low := next()
			v.DeleteRange(low, next())
		default:
			return errBatch
		}
	}
	return nil
}
