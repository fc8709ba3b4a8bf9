package plain

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestString(t *testing.T) {
	for in, want := range map[string]string{
		"plain text\twith tabs\nand lines": "plain text\twith tabs\nand lines",
		"größe 漢字 🍾":                       "größe 漢字 🍾",
		"\x1b]52;c;eA==\a":                 `\x1b]52;c;eA==\x07`,
		"\x1b[2J\x1b[H":                    `\x1b[2J\x1b[H`,
		"over\rwritten":                    `over\rwritten`,
		"back\b\x7f\x00":                   `back\x08\x7f\x00`,
		"C1 \u009b31m \x9b31m":             `C1 \u009b31m \x9b31m`,
		"a\u202eb\u2066c\u200f":            `a\u202eb\u2066c\u200f`,
		"\u2028\ufeff\U000e0041":           `\u2028\ufeff\U000e0041`,
	} {
		if got := String(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
	if got := Line(" two\n\tlines\x1b "); got != `two lines\x1b` {
		t.Errorf("got %q", got)
	}
}

// A line comes out when it is whole, not before and not later.
func TestWriterIsLineByLine(t *testing.T) {
	var out strings.Builder
	w := NewWriter(&out)
	for _, step := range []struct{ in, want string }{
		{"one\x1b", ""}, {"[2J\r\ntw", "one\\x1b[2J\n"}, {"\xc3", ""}, {"\xb6\n", "twö\n"}, {"three", ""},
	} {
		out.Reset()
		if n, err := fmt.Fprint(w, step.in); n != len(step.in) || err != nil {
			t.Fatal(n, err)
		}
		if out.String() != step.want {
			t.Errorf("after %q: got %q, not %q", step.in, out.String(), step.want)
		}
	}
	out.Reset()
	if err := w.Close(); err != nil || out.String() != "three\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestWriterBoundsALine(t *testing.T) {
	var out strings.Builder
	w := NewWriter(&out)
	for range 100 {
		fmt.Fprint(w, strings.Repeat("x", 4096))
		if cap(w.line) > 4*maxLine {
			t.Fatalf("%d bytes are held", cap(w.line))
		}
	}
	fmt.Fprint(w, "\nnext\n")
	want := strings.Repeat("x", maxLine) + fmt.Sprintf(" [%d more bytes]\nnext\n", 100*4096-maxLine)
	if out.String() != want {
		t.Errorf("got %d bytes, ending in %q", out.Len(), out.String()[max(0, out.Len()-60):])
	}
}

// However a text is cut, the lines are the same and hold nothing that a
// terminal would act on.
func FuzzWriter(f *testing.F) {
	f.Add("a\x1b[2J\r\nb\u202e\n\xff", uint8(3))
	f.Fuzz(func(t *testing.T, text string, step uint8) {
		var whole, parts strings.Builder
		w := NewWriter(&whole)
		fmt.Fprint(w, text)
		w.Close()
		w = NewWriter(&parts)
		for rest := text; len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			fmt.Fprint(w, rest[:n])
			rest = rest[n:]
		}
		w.Close()
		if whole.String() != parts.String() {
			t.Fatalf("%q and %q", whole.String(), parts.String())
		}
		if !utf8.ValidString(whole.String()) {
			t.Fatalf("%q is not UTF-8", whole.String())
		}
		for _, r := range whole.String() {
			if r != '\n' && r != '\t' && !strconv.IsPrint(r) {
				t.Fatalf("%q holds %q", whole.String(), r)
			}
		}
	})
}
