//go:build linux

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every seed keeps to the rules of a plan, and ten minutes have all kinds of faults.
func TestDraw(t *testing.T) {
	const nodes, length = 5, 10 * time.Minute
	for seed := range uint64(50) {
		faults, seen, free := draw(seed, nodes, length), map[string]int{}, map[bool]time.Duration{}
		for i, f := range faults {
			seen[f.kind]++
			require.True(t, i == 0 || faults[i-1].at <= f.at, "seed %d: out of order", seed)
			require.Greater(t, f.at, free[f.ofNodes()], "seed %d: %v begins before the one before has ended", seed, f)
			require.Greater(t, f.until, f.at)
			require.LessOrEqual(t, f.until, length)
			free[f.ofNodes()] = f.until
			for _, host := range f.hosts {
				require.True(t, 1 <= host && host <= nodes, "seed %d: %v", seed, f)
			}
		}
		require.Len(t, seen, 8, "seed %d: %v", seed, seen)
		require.Equal(t, faults, draw(seed, nodes, length))
		require.NotEqual(t, faults, draw(seed+1, nodes, length))
	}
}

// Which packets each kind of partition lets through.
func TestBetween(t *testing.T) {
	l := link{loss: 0.5}
	for _, c := range []struct {
		fault fault
		cut   [][2]int // of hosts 0 to 3
	}{
		{fault{kind: partition, sides: []int{both, left, left, right}}, [][2]int{{1, 3}, {2, 3}, {3, 1}, {3, 2}}},
		{fault{kind: partition, sides: []int{right, left, right, right}}, [][2]int{{0, 1}, {1, 0}, {1, 2}, {1, 3}, {2, 1}, {3, 1}}},
		{fault{kind: bridge, sides: []int{both, left, both, right}}, [][2]int{{1, 3}, {3, 1}}},
		{fault{kind: oneWay, sides: []int{both, left, left, right}}, [][2]int{{1, 3}, {2, 3}}},
		{fault{kind: loss, hosts: []int{1}, link: l}, nil},
		{fault{}, nil},
	} {
		var cut [][2]int
		for from := range 4 {
			for to := range 4 {
				if from != to && c.fault.between(from, to).cut {
					cut = append(cut, [2]int{from, to})
				}
			}
		}
		require.Equal(t, c.cut, cut, "%v", c.fault)
	}
	lossy := fault{kind: loss, hosts: []int{1}, link: l}
	require.Equal(t, l, lossy.between(1, 2))
	require.Equal(t, l, lossy.between(2, 1))
	require.Zero(t, lossy.between(2, 3))
}

// Who is drawn for a partition: both sides have nodes, and a bridge sees both.
func TestPartitionsHaveTwoSides(t *testing.T) {
	for seed := range uint64(50) {
		for _, f := range draw(seed, 5, 10*time.Minute) {
			if f.sides == nil {
				continue
			}
			count := map[int]int{}
			for _, side := range f.sides[1:] {
				count[side]++
			}
			require.Equal(t, f.kind == bridge, count[both] == 1, "%v", f)
			if f.kind != bridge {
				require.Positive(t, count[left]*count[right], "%v", f)
			}
		}
	}
}

// Only whole IPv4 packets of our network have a destination.
func TestDestination(t *testing.T) {
	packet := make([]byte, 20)
	packet[0] = 0x45
	copy(packet[16:], []byte{10, 77, 0, 3})
	require.Equal(t, 2, destination(packet))
	require.Equal(t, "10.77.0.3", address(2))
	require.Equal(t, -1, destination(packet[:19]))
	packet[0] = 0x60
	require.Equal(t, -1, destination(packet), "IPv6")
	packet[0], packet[18] = 0x45, 1
	require.Equal(t, -1, destination(packet), "another network")
}
