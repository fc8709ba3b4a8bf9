// Package secret keeps credentials from being printed by accident: a [String]
// shows a mask under every formatting verb and encoder, and gives its value
// only to a caller who asks by name.
package secret

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

const mask = "[redacted]"

// maxBytes bounds a secret file; a larger one is a mistake.
const maxBytes = 64 << 10

// String is a secret value. Its zero value is empty. It is safe to print, log
// and marshal: what appears is a mask.
type String struct {
	// A pointer, because fmt cannot call the methods of an unexported field
	// and would print a plain string there.
	value *string
}

// New wraps a secret.
func New(value string) String { return String{&value} }

// Reveal returns the value. Search for this name to find every place at which
// a secret leaves its wrapper.
func (s String) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is no value.
func (s String) Empty() bool { return s.Reveal() == "" }

// String returns the mask.
func (String) String() string { return mask }

// GoString returns the mask, for %#v.
func (String) GoString() string { return mask }

// Format writes the mask under every verb; without it, %x would reach the value.
func (String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// MarshalText returns the mask, for JSON, YAML and the like.
func (String) MarshalText() ([]byte, error) { return []byte(mask), nil }

// LogValue returns the mask, for log/slog.
func (String) LogValue() slog.Value { return slog.StringValue(mask) }

// ReadFile reads a secret from a file, without the line end that editors and
// echo leave behind. A value with a control byte inside is refused, because it
// could not stand in a header.
func ReadFile(path string) (String, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return String{}, fmt.Errorf("cannot read the secret: %w", err)
	}
	data = bytes.TrimRight(data, "\r\n")
	switch {
	case len(data) == 0:
		return String{}, fmt.Errorf("the secret file %s is empty; write the token into it", path)
	case len(data) > maxBytes:
		return String{}, fmt.Errorf("the secret file %s is larger than %d bytes", path, maxBytes)
	}
	if err := Check(string(data)); err != nil {
		return String{}, fmt.Errorf("the secret file %s: %w", path, err)
	}
	return New(string(data)), nil
}

// Check reports why value cannot be sent as a header field's value.
func Check(value string) error {
	for i := range len(value) {
		if c := value[i]; c < 0x20 || c == 0x7f {
			return errors.New("the secret holds a control byte or a line break; store the bare token")
		}
	}
	return nil
}
