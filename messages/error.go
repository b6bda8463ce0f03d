package messages

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a refusal or an unknown outcome as a Go error. Its Code says what the caller does next.
type Error struct {
	Code Code
	Text string
	Hint *Hint
}

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Code.String()
	}
	return e.Code.String() + ": " + e.Text
}

// Is makes errors.Is(err, messages.Errorf(code, "")) match by code alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf makes an Error with a formatted text, of which MaxTextBytes are kept: what it quotes may be of any size.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Text: Clip(fmt.Sprintf(format, args...))}
}

// Clip cuts a text that is longer than MaxTextBytes, and makes it valid UTF-8, without which it cannot be sent.
func Clip(text string) string {
	if len(text) > MaxTextBytes {
		text = text[:MaxTextBytes-len(ellipsis)] + ellipsis
	}
	return strings.ToValidUTF8(text, "?")
}

const ellipsis = "..."

// LevelMissing refuses what the cluster does not understand yet.
func LevelMissing(needs, cluster Level) *Error {
	return Errorf(Code_UNAVAILABLE, "this needs feature level %d, but the cluster has %d: ask again when every node runs an eraft that has it, see eraft status", needs, cluster)
}

// CodeOf maps nil to OK, an Error anywhere in err's chain to its Code, and anything foreign to INTERNAL.
func CodeOf(err error) Code {
	if err == nil {
		return Code_OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Code_INTERNAL
}

// Err gives the reply's refusal as an error, nil if its code is OK.
func (r *Reply) Err() error {
	if r.GetCode() == Code_OK {
		return nil
	}
	return &Error{Code: r.Code, Text: r.Text, Hint: r.Hint}
}
