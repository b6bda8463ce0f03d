package shardkv

import (
	"encoding/binary"

	"github.com/eraft-io/eraft/messages"
	"github.com/eraft-io/eraft/persistence"
)

// destination writes the pairs of a chunk into the group that imports the bucket. It has no state of its own: the bucket's
// record (bucket.importChunk) decides whether a chunk is the one expected.
type destination struct {
	tx       persistence.Tx
	id       uint32 // the bucket
	sessions *sessionTable
	nowMs    uint64 // log time in ms of the entry that has the chunk
}

// write writes one pair. The key is the source's without the bucket: the kind, then the rest. order is the place in the log
// that counts as the last use of a session. Writing a pair twice, or a newer one over it, is harmless.
func (d *destination) write(p *messages.Pair, order uint64) error {
	full := append(bucketKey(p.Key[0], d.id), p.Key[1:]...)
	switch {
	case p.Key[0] == dataPair && len(p.Value) == 0:
		d.tx.Delete(full)
	case p.Key[0] == dataPair:
		d.tx.Put(full, p.Value)
	case p.Key[0] == sessionPair:
		received, err := decodeMigratedSession(p.Value, d.id, binary.BigEndian.Uint64(p.Key[1:]))
		if err != nil {
			return err
		}
		d.merge(received, order)
	}
	return nil
}

// merge adds what a chunk says of a session to what the group knows of it: the higher of two acknowledgements, the later of
// two deadlines, and all replies that are not acknowledged.
func (d *destination) merge(received *session, order uint64) {
	s := d.sessions.touch(received.id, d.nowMs, received.deadlineMs, order)
	if received.noDeadlineUseMs != 0 {
		d.sessions.touch(received.id, d.nowMs, 0, order)
	}
	d.sessions.acknowledge(s, received.acked)
	for _, r := range received.replies {
		d.sessions.save(s, r)
	}
}

// checkImport refuses, before the log, a chunk that this machine could not take in, or could not read later. nil: it can.
func checkImport(i *messages.ImportChunk) *messages.Error {
	c := i.GetChunk()
	damaged := messages.Errorf(messages.Code_INVALID, "chunk %d of bucket %d is damaged", c.GetNumber(), c.GetBucket())
	if c == nil || c.ConfigVersion == 0 || c.Abandoned || c.NotReady || Checksum(c) != c.Checksum {
		return damaged
	}
	for _, p := range c.Pairs {
		if checkPair(p) != nil {
			return damaged
		}
	}
	return nil
}

func checkPair(p *messages.Pair) (err error) {
	if len(p.GetKey()) == 0 {
		return errCorrupt
	}
	switch p.Key[0] {
	case dataPair:
		if len(p.Value) > 0 {
			_, _, err = decodeValue(p.Value)
		}
	case sessionPair:
		if _, err = decodeMigratedSession(p.Value, 0, 0); err == nil && len(p.Key) != 9 {
			err = errCorrupt
		}
	default:
		err = errCorrupt
	}
	return err
}
