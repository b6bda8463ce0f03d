package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// garbageBytes is how much garbage may lie about at least, under load, before it is collected. Go's own rule, as much as
// is in use, collects several times a second then, for a node has little in use.
const garbageBytes = 64 << 20

// underLoad is how soon collections follow one another where much is done. Else Go's own rule holds, so that a node
// that has become idle gives its memory back.
const underLoad = 10 * time.Second

// collectSeldom makes Go's collector wait for garbageBytes. Who sets GOGC decides for himself.
func collectSeldom() {
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
		debug.SetGCPercent(growth(live[0].Value.Uint64(), time.Since(last)))
		afterCollection(time.Now())
	}, last)
}

// growth is in per cent of what is in use: room for garbageBytes, or as much as Go would allow.
func growth(live uint64, sinceLast time.Duration) int {
	if sinceLast > underLoad {
		return 100
	}
	return int(max(100, 100*garbageBytes/max(live, 1<<20)))
}
