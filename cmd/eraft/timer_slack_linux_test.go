package main

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The monitor thread gets the slack, and no other thread.
func TestTimerSlack(t *testing.T) {
	before := slacks(t)
	if err := setTimerSlack(); errors.Is(err, fs.ErrPermission) {
		return // as it should for who may not
	} else {
		require.NoError(t, err)
	}
	thread, err := monitorThread()
	require.NoError(t, err)
	for id, slack := range slacks(t) {
		if id == thread {
			require.Equal(t, strconv.Itoa(int(monitorSlack)), slack)
		} else if was, old := before[id]; old {
			require.Equal(t, was, slack, "thread %s", id)
		}
	}
}

// The monitor thread never runs a goroutine: with more goroutines than threads, each locked to one, it is not among their threads.
func TestMonitorThreadRunsNoGoroutine(t *testing.T) {
	thread, err := monitorThread()
	require.NoError(t, err)
	many := len(slacks(t)) + runtime.NumGoroutine()
	locked, release := make(chan int), make(chan struct{})
	defer close(release)
	for range many {
		go func() {
			runtime.LockOSThread()
			locked <- syscall.Gettid()
			<-release
			runtime.UnlockOSThread()
		}()
	}
	for range many {
		require.NotEqual(t, thread, strconv.Itoa(<-locked))
	}
}

// slacks are those of all threads that can be read.
func slacks(t *testing.T) map[string]string {
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	all := make(map[string]string)
	for _, thread := range threads {
		text, err := os.ReadFile(slackFile(thread.Name()))
		if err == nil || errors.Is(err, fs.ErrPermission) {
			all[thread.Name()] = strings.TrimSpace(string(text))
		}
	}
	return all
}
