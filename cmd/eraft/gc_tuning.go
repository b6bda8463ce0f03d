package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// minGarbageBytes is how much garbage may lie about at least, under load, before it is collected. Go's own rule, as much as
// is in use, collects several times a second then, for a node has little in use.
const minGarbageBytes = 64 << 20

// busyInterval is how soon collections follow one another where much is done. Else Go's own rule holds, so that a node
// that has become idle gives its memory back.
const busyInterval = 10 * time.Second

// tuneGC makes Go's collector wait for minGarbageBytes. Who sets GOGC decides for himself.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		afterCollection(time.Now())
	}
}

// collection is garbage from the start: that it is collected tells that a collection has ended.
type collection struct{ _ *byte }

// afterCollection adapts the growth that Go allows to what is in use, after each collection.
func afterCollection(last time.Time) {
	runtime.AddCleanup(new(collection), func(last time.Time) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		debug.SetGCPercent(gcPercentFor(live[0].Value.Uint64(), time.Since(last)))
		afterCollection(time.Now())
	}, last)
}

// growth is in per cent of what is in use: room for minGarbageBytes, or as much as Go would allow.
func gcPercentFor(live uint64, sinceLast time.Duration) int {
	if sinceLast > busyInterval {
		return 100
	}
	return int(max(100, 100*minGarbageBytes/max(live, 1<<20)))
}
