package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNothingPrintsTheValue(t *testing.T) {
	s := New("hunter2")
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, struct{ S String }{s})
		fmt.Fprintf(&out, verb, &struct{ S String }{s})
		fmt.Fprintf(&out, verb, struct{ s String }{s}) // out of reach for fmt's interfaces
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", s, "in", struct{ S String }{s})
	j, err := json.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the value leaked as %q in %s", leak, out.String())
		}
	}
}

func TestReadFile(t *testing.T) {
	for name, tc := range map[string]struct{ content, want, err string }{
		"plain":        {"abc", "abc", ""},
		"line end":     {"abc\r\n", "abc", ""},
		"empty":        {"\n", "", "is empty"},
		"two lines":    {"a\nb", "", "control byte"},
		"inner return": {"a\rb", "", "control byte"},
	} {
		t.Run(name, func(t *testing.T) {
			p := filepath.Join(t.TempDir(), "s")
			if err := os.WriteFile(p, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := ReadFile(p)
			if tc.err == "" && (err != nil || s.Reveal() != tc.want) {
				t.Errorf("got %q, %v", s.Reveal(), err)
			}
			if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("error %v does not say %q", err, tc.err)
			}
		})
	}
}
