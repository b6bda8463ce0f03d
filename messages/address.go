package messages

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckAddress tells why a text is no host:port that others can dial; nil: it is one.
func CheckAddress(text string) error {
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 || len(text) > MaxAddressBytes || !isHost(text[:colon]) {
		return fmt.Errorf("%q is not an address of the form host:port", text)
	}
	if n, err := strconv.ParseUint(text[colon+1:], 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is not an address of the form host:port: its port is not a number from 1 to 65535", text)
	}
	return nil
}

// isHost tells whether a text looks like a name, or a number of version 4, or one of version 6 in brackets.
func isHost(text string) bool {
	also := "-._"
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return false
		}
		also = "-._:%"
	}
	return text != "" && strings.IndexFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(also, r))
	}) < 0
}

// CheckAddresses tells why a list is no list of addresses that others can dial, each named once; nil: it is one.
func CheckAddresses(list []string) error {
	seen := map[string]bool{}
	for _, text := range list {
		if err := CheckAddress(text); err != nil {
			return err
		}
		if seen[text] {
			return fmt.Errorf("%s is named twice", text)
		}
		seen[text] = true
	}
	return nil
}
