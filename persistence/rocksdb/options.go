package rocksdb

import (
	"cmp"
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

// noInfoLog is above all levels that RocksDB logs at. RocksDB cannot write it into its OPTIONS file, which is not read, and leaves a draft
// of the file behind: see removeLeftovers.
const noInfoLog = grocksdb.InfoLogLevel(6)

type options struct {
	db    *grocksdb.Options
	table *grocksdb.BlockBasedTableOptions
	cache *grocksdb.Cache
}

// options sets what differs from RocksDB's defaults, each with its reason.
func (k Kind) options(limits Limits) *options {
	o := &options{db: grocksdb.NewDefaultOptions(), table: grocksdb.NewDefaultBlockBasedTableOptions(), cache: newCache(limits.CacheBytes)}
	o.table.SetBlockCache(o.cache)
	o.table.SetCacheIndexAndFilterBlocks(true) // else they are outside of any bound
	o.table.SetCacheIndexAndFilterBlocksWithHighPriority(true)
	o.table.SetPinL0FilterAndIndexBlocksInCache(true) // every get asks those of the newest tables
	o.table.SetFormatVersion(5)                       // full, faster filters
	db := o.db
	db.SetCreateIfMissing(true)
	db.SetParanoidChecks(true)                   // stop at the first sign of damage
	db.SetArenaBlockSize(256 << 10)              // an idle memtable costs this much, not an eighth of the buffer
	db.SetMaxWriteBufferNumber(3)                // writes go on while one is flushed
	db.SetMaxTotalWalSize(128 << 20)             // bounds the replay at start
	db.SetMaxOpenFiles(limits.Files)             // bounds memory of open tables
	db.SetInfoLogLevel(noInfoLog)                // RocksDB's own text log: where a disk refuses a line, the next one aborts; one that rolls is not silent
	db.SetStatsDumpPeriodSec(0)                  // no periodic work in an idle node
	db.SetStatsPersistPeriodSec(0)               // likewise
	db.SetBytesPerSync(1 << 20)                  // write tables out steadily, not in one stall at the end
	db.SetLevelCompactionDynamicLevelBytes(true) // space stays near the data's size
	if k == Log {
		o.log()
	} else {
		o.state()
	}
	db.SetBlockBasedTableFactory(o.table)
	return o
}

// log sets what a log needs: it is written much, and its entries are soon deleted.
func (o *options) log() {
	o.db.SetCompression(grocksdb.NoCompression)                       // wasted work for what is soon deleted
	o.db.SetLevel0FileNumCompactionTrigger(8)                         // half as many merges as with 4, for some more filters that a get asks
	o.db.SetMaxBackgroundJobs(2)                                      // one flush and one compaction beside the actors
	o.db.SetWriteBufferSize(24<<20 + rand.Uint64N(12<<20))            // replicas fill theirs alike, but should not all flush at once
	o.db.SetRecycleLogFileNum(1)                                      // a sync that writes over an old file needs no journal: a quarter faster
	o.db.SetWALRecoveryMode(grocksdb.SkipAnyCorruptedRecordsRecovery) // RocksDB recycles in no other; replay has left nothing to skip
}

// state sets what the data needs: it is read at random, and much larger than any cache.
func (o *options) state() {
	o.table.SetFilterPolicy(grocksdb.NewBloomFilterFull(10)) // most gets of absent keys never touch a data block
	// An index or filter of a whole table of data that compresses is larger than what a shard of the cache can hold, and
	// would be read and decompressed for every get. In parts of a few KiB, each is kept or not by how often it is asked.
	o.table.SetIndexType(grocksdb.KTwoLevelIndexSearchIndexType)
	o.table.SetPartitionFilters(true)
	o.table.SetMetadataBlockSize(8 << 10)
	o.table.SetPinTopLevelIndexAndFilter(true)
	o.db.SetMemTablePrefixBloomSizeRatio(0.02) // with the next: a get need not search a large memtable for what is not there
	o.db.SetMemtableWholeKeyFiltering(true)
	o.db.SetCompression(grocksdb.LZ4Compression)
	o.db.SetWriteBufferSize(64 << 20) // larger than what the StateWriter lets come together: it flushes, not the engine
	o.db.SetMaxBackgroundJobs(4)      // a flush, and merges of new tables beside a long merge of old ones
}

// limits replaces zero fields by their defaults.
func (k Kind) limits(given ...Limits) Limits {
	l := Limits{CacheBytes: 128 << 20, Files: 512} // filters, indexes and hot blocks, as they are used
	if k == Log {
		l.CacheBytes = 1 << 20 // the log is read in order, and rarely twice
	}
	for _, g := range given {
		l.CacheBytes, l.Files = cmp.Or(g.CacheBytes, l.CacheBytes), cmp.Or(g.Files, l.Files)
	}
	return l
}

// cacheShardBits cuts a cache into four parts with a lock of their own. By default there are so many parts that none can
// hold a large block.
const cacheShardBits = 2

func newCache(bytes uint) *grocksdb.Cache {
	o := grocksdb.NewLRUCacheOptions()
	defer o.Destroy()
	o.SetCapacity(bytes)
	o.SetNumShardBits(cacheShardBits)
	return grocksdb.NewLRUCacheWithOptions(o)
}

func (o *options) destroy() {
	o.db.Destroy()
	o.table.Destroy()
	o.cache.Destroy()
}
