package shardkv

import (
	"github.com/eraft-io/eraft/messages"
)

// checkImport refuses a chunk that this machine could not take, or could not read later.
func checkImport(i *messages.ImportChunk) *messages.Error {
	c := i.GetChunk()
	damaged := messages.Errorf(messages.Code_INVALID, "chunk %d of bucket %d is damaged", c.GetNumber(), c.GetBucket())
	if c == nil || c.ConfigVersion == 0 || c.Abandoned || c.NotReady || Checksum(c) != c.Checksum {
		return damaged
	}
	for _, p := range c.Pairs {
		if len(p.GetKey()) == 0 {
			return damaged
		}
		var err error
		switch p.Key[0] {
		case 'd':
			if len(p.Value) > 0 {
				_, _, err = decodeValue(p.Value)
			}
		case 's':
			if _, err = decodeMigratedSession(p.Value, 0, 0); err == nil && len(p.Key) != 9 {
				err = errCorrupt
			}
		default:
			err = errCorrupt
		}
		if err != nil {
			return damaged
		}
	}
	return nil
}
