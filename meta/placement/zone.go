package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// zoneLabel is the label whose values are zones: failure domains over which the replicas of a group are spread.
const zoneLabel = "zone"

// CheckLabels reports what is wrong with the labels of a node. They must be "key=value" each, ascending by key, and no key
// twice. nil: nothing is wrong.
func CheckLabels(labels []string) error {
	if len(labels) > messages.MaxLabels {
		return fmt.Errorf("%d labels are more than %d", len(labels), messages.MaxLabels)
	}
	last := ""
	for _, label := range labels {
		key, value, found := strings.Cut(label, "=")
		if !found || !isPlain(key) || !isPlain(value) || len(label) > messages.MaxLabelBytes {
			return fmt.Errorf("%q is no label: say key=value of letters, digits, '-', '_' and '.', at most %d bytes", label, messages.MaxLabelBytes)
		}
		if key <= last {
			return fmt.Errorf("label %s is there twice or out of order", key)
		}
		last = key
	}
	return nil
}

func isPlain(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
	})
}

// Zone is the zone of a node by its labels; "" if they name none.
func Zone(labels []string) string {
	i := slices.IndexFunc(labels, func(l string) bool { return strings.HasPrefix(l, zoneLabel+"=") })
	if i < 0 {
		return ""
	}
	return labels[i][len(zoneLabel)+1:]
}

// zoneCount counts the zones of nodes. A node that names none is a zone of its own.
func (p *planner) zoneCount(nodes []uint64) int {
	zones := map[string]bool{}
	for _, id := range nodes {
		z := Zone(p.config.FindNode(id).Labels)
		if z == "" {
			z = fmt.Sprint("/", id)
		}
		zones[z] = true
	}
	return len(zones)
}
