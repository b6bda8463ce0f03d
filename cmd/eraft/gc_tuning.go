package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// minGarbageBytes is the garbage that a busy process lets accumulate before it is collected. Go's own rule, as much as is live,
// would collect several times a second, for a node has little live memory.
const minGarbageBytes = 64 << 20

// busyInterval is the time between two collections below which a process counts as busy. Otherwise Go's own rule holds, so that an
// idle node returns its memory.
const busyInterval = 10 * time.Second

// tuneGC makes Go's collector wait for minGarbageBytes. GOGC in the environment overrides it.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		afterCollection(time.Now())
	}
}

// collection is garbage from the start: that it is collected shows that a collection has ended.
type collection struct{ _ *byte }

// afterCollection adapts the growth that Go allows to the live memory, after each collection.
func afterCollection(last time.Time) {
	runtime.AddCleanup(new(collection), func(last time.Time) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		debug.SetGCPercent(gcPercentFor(live[0].Value.Uint64(), time.Since(last)))
		afterCollection(time.Now())
	}, last)
}

// gcPercentFor is the growth to allow, in per cent of the live bytes: minGarbageBytes, or as much as Go would allow.
func gcPercentFor(live uint64, sinceLast time.Duration) int {
	if sinceLast > busyInterval {
		return 100
	}
	return int(max(100, 100*minGarbageBytes/max(live, 1<<20)))
}
