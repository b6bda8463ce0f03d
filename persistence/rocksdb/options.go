package rocksdb

import (
	"math/rand/v2"

	"github.com/linxGnu/grocksdb"
)

// Kind says what an engine is used for; it decides RocksDB's options.
type Kind int

const (
	// Log is written in order, synced often, read at start and for followers that are far behind, and cut at the front.
	Log Kind = iota
	// State is written without a log of its own, read at random, and as big as the user's data. To sync it writes a
	// table file, so that is for rare moments.
	State
)

type options struct {
	db    *grocksdb.Options
	table *grocksdb.BlockBasedTableOptions
	cache *grocksdb.Cache
}

// options sets what differs from RocksDB's defaults, each with its reason.
func (k Kind) options() *options {
	o := &options{db: grocksdb.NewDefaultOptions(), table: grocksdb.NewDefaultBlockBasedTableOptions()}
	cache := 128 << 20 // state: filters, indexes and hot blocks, as they are used; the page cache holds the rest
	if k == Log {
		cache = 1 << 20 // the log is read in order, and rarely twice
	}
	o.cache = grocksdb.NewLRUCache(uint64(cache))
	o.table.SetBlockCache(o.cache)
	o.table.SetCacheIndexAndFilterBlocks(true) // else they are outside of any bound
	o.table.SetCacheIndexAndFilterBlocksWithHighPriority(true)
	o.table.SetPinL0FilterAndIndexBlocksInCache(true) // every get asks those of the newest tables
	o.table.SetFormatVersion(5)                       // full, faster filters
	if k == State {
		o.table.SetFilterPolicy(grocksdb.NewBloomFilterFull(10)) // most gets of absent keys never touch a data block
	}
	db := o.db
	db.SetBlockBasedTableFactory(o.table)
	db.SetCreateIfMissing(true)
	db.SetParanoidChecks(true)              // stop at the first sign of damage
	db.SetWriteBufferSize(32 << 20)         // less write amplification than smaller ones; allocated as it fills
	db.SetLevel0FileNumCompactionTrigger(8) // half as many merges as with 4, for some more filters that a get asks
	db.SetArenaBlockSize(256 << 10)         // an idle memtable costs this much, not an eighth of the buffer
	db.SetMaxWriteBufferNumber(3)           // writes go on while one is flushed
	db.SetMaxTotalWalSize(128 << 20)        // bounds the replay at start
	db.SetMaxBackgroundJobs(2)              // one flush and one compaction beside the actors
	db.SetMaxOpenFiles(512)                 // bounds memory of open tables
	db.SetKeepLogFileNum(2)                 // RocksDB's own text logs
	db.SetMaxLogFileSize(1 << 20)           // likewise
	db.SetStatsDumpPeriodSec(0)             // no periodic work in an idle node
	db.SetStatsPersistPeriodSec(0)          // likewise
	db.SetBytesPerSync(1 << 20)             // write tables out steadily, not in one stall at the end
	db.SetCompression(grocksdb.LZ4Compression)
	db.SetLevelCompactionDynamicLevelBytes(true) // space stays near the data's size
	if k == Log {
		db.SetCompression(grocksdb.NoCompression)                       // entries live short: compressing them is wasted work
		db.SetWriteBufferSize(24<<20 + rand.Uint64N(12<<20))            // replicas fill theirs alike, but should not all flush at once
		db.SetRecycleLogFileNum(1)                                      // a sync that writes over an old file needs no journal: a quarter faster
		db.SetWALRecoveryMode(grocksdb.SkipAnyCorruptedRecordsRecovery) // RocksDB recycles in no other; replay has left nothing to skip
	}
	return o
}

func (o *options) destroy() {
	o.db.Destroy()
	o.table.Destroy()
	o.cache.Destroy()
}
