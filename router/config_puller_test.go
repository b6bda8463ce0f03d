package router

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// One node is asked at a time; a newer config ends it, or all sources have been asked once.
func TestConfigPuller(t *testing.T) {
	var p configPuller
	require.True(t, p.wantNewer())
	require.False(t, p.wantNewer(), "a node was asked a moment ago")
	require.True(t, p.tick(), "until a newer config is received")
	p.received()
	require.False(t, p.tick())

	sources, asked := []string{"a", "b", "c"}, []string{}
	for pull := p.wantFromAll(len(sources)); pull; pull = p.tick() {
		to, ok := p.next(sources)
		require.True(t, ok)
		asked = append(asked, to)
	}
	require.ElementsMatch(t, sources, asked)
	_, ok := p.next(nil)
	require.False(t, ok)
}
