package messages_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/eraft-io/eraft/messages"
)

func TestAddresses(t *testing.T) {
	for _, good := range []string{"localhost:7400", "10.0.0.1:1", "[::1]:65535", "[fe80::1%eth0]:80", "n1.example.com:7400", "my_node-2:7400"} {
		require.NoError(t, messages.CheckAddress(good))
	}
	for _, bad := range []string{
		"", "h", ":7400", "h:", "h:0", "h:65536", "h:http", "h:-1", " h:1", "h :1", "h:1 ", "h:1,g:2", "http://h:1", "a@h:1", "ünï:1", "::1:7400", "[::1:7400", "[]:1",
		"guest/x:1", "h\n:1", strings.Repeat("h", messages.MaxAddressBytes) + ":1",
	} {
		require.ErrorContains(t, messages.CheckAddress(bad), "is not an address of the form host:port", "%q", bad)
	}
	require.NoError(t, messages.CheckAddresses([]string{"a:1", "a:2", "b:1"}))
	require.ErrorContains(t, messages.CheckAddresses([]string{"a:1", "b:1", "a:1"}), "a:1 is named twice")
	require.ErrorContains(t, messages.CheckAddresses([]string{"a:1", ""}), "form host:port")
}
