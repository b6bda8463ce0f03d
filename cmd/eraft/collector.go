package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// garbageBytes is how much garbage may lie about at least before it is collected. Go's own rule, as much as is in use,
// collects several times a second under load, for a node has little in use.
const garbageBytes = 64 << 20

// collectSeldom makes Go's collector wait for garbageBytes. Who sets GOGC decides for himself.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		afterCollection()
	}
}

// collection is garbage from the start: that it is collected tells that a collection has ended.
type collection struct{ _ *byte }

// afterCollection adapts the growth that Go allows to what is in use, after each collection.
func afterCollection() {
	runtime.AddCleanup(new(collection), func(struct{}) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		debug.SetGCPercent(growth(live[0].Value.Uint64()))
		afterCollection()
	}, struct{}{})
}

// growth is in per cent of what is in use: room for garbageBytes, or as much as Go would allow.
func growth(live uint64) int { return int(max(100, 100*garbageBytes/max(live, 1<<20))) }
