package messages

import "bytes"

// Slots is the number of hash slots, the same as Redis Cluster has.
const Slots = 16384

// SlotOf hashes a key as Redis Cluster does: CRC16 (XMODEM) of the key, or of the part between the first
// "{" and the next "}" if there is something between them, modulo 16384.
func SlotOf(key []byte) uint16 {
	if open := bytes.IndexByte(key, '{'); open >= 0 {
		if n := bytes.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	var crc uint16
	for _, b := range key {
		crc = crc<<8 ^ crc16[byte(crc>>8)^b]
	}
	return crc % Slots
}

// BucketOf gives the bucket of a key in a cluster of that many buckets (1 … 16384).
// Buckets are equal ranges of slots.
func BucketOf(key []byte, buckets int) BucketID {
	return BucketID(int(SlotOf(key)) * buckets / Slots)
}

// crc16 is the table of CRC-16/XMODEM: polynomial 0x1021, no reflection, start 0.
var crc16 = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()
