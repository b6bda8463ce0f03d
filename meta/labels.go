package meta

import (
	"fmt"
	"slices"
	"strings"

	"github.com/eraft-io/eraft/messages"
)

// zoneLabel is the label over whose values replicas of a group are spread.
const zoneLabel = "zone"

// CheckLabels tells what is wrong with a node's labels: "key=value" each, by key, ascending, no key twice. nil: nothing.
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

// zone is where a node stands, "" if it does not say.
func zone(labels []string) string {
	i := slices.IndexFunc(labels, func(l string) bool { return strings.HasPrefix(l, zoneLabel+"=") })
	if i < 0 {
		return ""
	}
	return labels[i][len(zoneLabel)+1:]
}
