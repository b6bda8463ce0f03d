package meta

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/eraft-io/eraft/messages"
)

// maxRanges is how many ranges of buckets a text names at most.
const maxRanges = 8

// formatRanges writes buckets as ranges, "1-3, 7", or their number if there are more than maxRanges. It sorts its argument.
func formatRanges(buckets []uint32) string {
	slices.Sort(buckets)
	var all []string
	for i := 0; i < len(buckets); {
		j := i
		for j+1 < len(buckets) && buckets[j+1] <= buckets[j]+1 {
			j++
		}
		all = append(all, FormatRange(buckets[i], buckets[j]))
		i = j + 1
	}
	if len(all) > maxRanges {
		return fmt.Sprintf("%d buckets", len(buckets))
	}
	return strings.Join(all, ", ")
}

// FormatRange writes a range of buckets for people: "3" or "3-5".
func FormatRange(first, last uint32) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// IsMoveCompletion reports whether a version's change is only that moves of buckets are complete. There may be as many such versions
// as buckets, so lists for people leave them out.
func IsMoveCompletion(change string) bool {
	what, _, found := strings.Cut(change, movesCompletedText)
	return found && strings.Trim(what, "0123456789-, buckets") == ""
}

// movesCompletedText stands between the buckets and their group in such a change.
const movesCompletedText = " arrived at "

// Diff describes for people what differs between two configs, from a to b, one line each.
func Diff(a, b *messages.Config) []string {
	var lines []string
	for _, n := range b.Nodes {
		switch old := a.FindNode(n.Id); {
		case old == nil:
			lines = append(lines, fmt.Sprintf("+ node %d %s %s", n.Id, n.Name, n.Address))
		case n.Removed && !old.Removed:
			lines = append(lines, fmt.Sprintf("- node %d %s", n.Id, n.Name))
		case n.State != old.State:
			lines = append(lines, fmt.Sprintf("~ node %d %s %v -> %v", n.Id, n.Name, old.State, n.State))
		case !proto.Equal(old, n):
			lines = append(lines, fmt.Sprintf("~ node %d %s %s %v -> %s %v", n.Id, n.Name, old.Address, old.Labels, n.Address, n.Labels))
		}
	}
	for _, g := range b.Groups {
		switch old := a.FindGroup(g.Id); {
		case old == nil:
			lines = append(lines, fmt.Sprintf("+ group %d on nodes %v", g.Id, g.Nodes))
		case g.Left && !old.Left || len(g.Nodes) == 0 && len(old.Nodes) > 0:
			lines = append(lines, fmt.Sprintf("- group %d", g.Id))
		case !slices.Equal(old.Nodes, g.Nodes):
			lines = append(lines, fmt.Sprintf("~ group %d on nodes %v -> %v", g.Id, old.Nodes, g.Nodes))
		}
	}
	if a.Placement != b.Placement {
		lines = append(lines, fmt.Sprintf("~ placement %v -> %v", a.Placement, b.Placement))
	}
	for i := 0; i < len(b.Owners) && i < len(a.Owners); {
		from, to, j := a.Owners[i], b.Owners[i], i
		for j < len(b.Owners) && a.Owners[j] == from && b.Owners[j] == to {
			j++
		}
		if from != to {
			lines = append(lines, fmt.Sprintf("~ bucket %s: group %d -> %d", FormatRange(uint32(i), uint32(j-1)), from, to))
		}
		i = j
	}
	return lines
}
