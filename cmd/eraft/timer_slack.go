package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// monitorSlack is how much later than requested the kernel may wake Go's monitor thread (sysmon). While threads block in system calls
// or in RocksDB, and in a busy node one always syncs, the monitor asks to be woken every 20 µs: thousands of wake-ups a second, each
// of which takes a processor from a working thread. With the slack, another thread takes over from a blocked one, and a goroutine
// that does not yield is preempted, that much later.
const monitorSlack = time.Millisecond

// setTimerSlack sets the timer slack of Go's monitor thread. Linux allows it to root, and to processes with CAP_SYS_NICE; without it
// the process works as well, but slower.
func setTimerSlack() error {
	thread, err := monitorThread()
	if err != nil {
		return err
	}
	return os.WriteFile(slackFile(thread), []byte(strconv.FormatInt(int64(monitorSlack), 10)), 0)
}

func slackFile(thread string) string { return "/proc/" + thread + "/timerslack_ns" }

// monitorThread gives the thread id of Go's monitor: Go starts it before any other thread, and the kernel lists threads in the order
// in which they were created.
func monitorThread() (string, error) {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return "", err
	}
	defer dir.Close()
	threads, err := dir.Readdirnames(2) // the first is the main thread
	if err == nil && (len(threads) < 2 || threads[0] != strconv.Itoa(os.Getpid())) {
		err = errors.New("threads are not listed in order")
	}
	if err != nil {
		return "", fmt.Errorf("find the monitor thread: %w", err)
	}
	return threads[1], nil
}
