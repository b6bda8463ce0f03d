package actortest

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Text shows effects as a sequence, one line each.
func Text(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.String())
		b.WriteByte('\n')
	}
	return b.String()
}

const (
	laneWidth  = 190
	lineHeight = 22
	headHeight = 50
)

// HTML shows effects as a page with a sequence diagram: one lane per actor, time runs down.
func HTML(title string, entries []Entry) string {
	lanes := lanesOf(entries)
	x := func(name string) int { return laneWidth/2 + 80 + laneWidth*slices.Index(lanes, name) }
	height := headHeight + lineHeight*(len(entries)+1)
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html><meta charset=utf-8><title>%s</title><style>body{font:12px system-ui,sans-serif}text{font:11px monospace}"+
		".d{stroke:#c33;stroke-dasharray:4}.m{stroke:#357}</style><h1>%[1]s</h1>", html.EscapeString(title))
	fmt.Fprintf(&b, "<svg width=%d height=%d xmlns='http://www.w3.org/2000/svg'>", 100+laneWidth*len(lanes), height)
	for _, lane := range lanes {
		fmt.Fprintf(&b, "<text x=%[1]d y=30 text-anchor=middle>%[2]s</text><line x1=%[1]d y1=40 x2=%[1]d y2=%[3]d stroke='#ccc'/>",
			x(lane), html.EscapeString(lane), height)
	}
	for i, e := range entries {
		y := headHeight + lineHeight*(i+1)
		fmt.Fprintf(&b, "<text x=2 y=%d>%v</text><g><title>%s</title>", y, e.At, html.EscapeString(e.String()))
		label := html.EscapeString(e.Type())
		if e.Message == nil || e.Kind == Dropped {
			label = strings.TrimSpace(string(e.Kind) + " " + label)
		}
		if class := "m"; e.From != "" && e.From != e.To {
			if e.Kind == Dropped {
				class = "d"
			}
			from, to := x(e.From), x(e.To)
			fmt.Fprintf(&b, "<line class=%[1]s x1=%[2]d y1=%[3]d x2=%[4]d y2=%[3]d stroke-width=1.5 /><circle cx=%[4]d cy=%[3]d r=3 fill='#357'/>"+
				"<text x=%[5]d y=%[6]d text-anchor=middle>%[7]s</text>", class, from, y, to, (from+to)/2, y-4, label)
		} else {
			fmt.Fprintf(&b, "<circle cx=%[1]d cy=%[2]d r=3 fill='#888'/><text x=%[3]d y=%[2]d>%[4]s</text>", x(e.To), y, x(e.To)+6, label)
		}
		b.WriteString("</g>")
	}
	b.WriteString("</svg>")
	return b.String()
}

// lanesOf are all actors and nodes of the effects, sorted, so that the actors of a node are beside one another.
func lanesOf(entries []Entry) []string {
	seen := map[string]bool{}
	var all []string
	for _, e := range entries {
		for _, name := range []string{e.From, e.To} {
			if name != "" && !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all
}
