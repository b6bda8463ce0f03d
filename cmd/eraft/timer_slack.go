package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// monitorSlack is how much later than it asks the kernel may wake Go's monitor thread. While threads block in system calls
// or in RocksDB, and under load one of a node always syncs, the monitor asks for 20 µs: thousands of wake-ups a second,
// each in the way of a thread that works. With the slack another thread takes over from a blocked one, and a goroutine
// that does not yield is interrupted, that much later.
const monitorSlack = time.Millisecond

// setTimerSlack gives the monitor thread its slack. Linux lets root do that, and who has CAP_SYS_NICE; without, all is well but
// slower.
func setTimerSlack() error {
	thread, err := monitorThread()
	if err != nil {
		return err
	}
	return os.WriteFile(slackFile(thread), []byte(strconv.FormatInt(int64(monitorSlack), 10)), 0)
}

func slackFile(thread string) string { return "/proc/" + thread + "/timerslack_ns" }

// sysmon finds the monitor: Go starts it before any other thread, and the kernel lists threads in the order they began.
func monitorThread() (string, error) {
	dir, err := os.Open("/proc/self/task")
	if err != nil {
		return "", err
	}
	defer dir.Close()
	threads, err := dir.Readdirnames(2) // the first is the process itself
	if err == nil && (len(threads) < 2 || threads[0] != strconv.Itoa(os.Getpid())) {
		err = errors.New("threads are not listed in order")
	}
	if err != nil {
		return "", fmt.Errorf("find the monitor thread: %w", err)
	}
	return threads[1], nil
}
