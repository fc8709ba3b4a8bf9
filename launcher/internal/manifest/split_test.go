package manifest

import (
	"bytes"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct{ in, front, body, err string }{
		{"---\na: b\n---\nbody\n", "a: b\n", "body\n", ""},
		{"---\r\na: b\r\n---\r\nbody\r\n", "a: b\r\n", "body\r\n", ""},
		{"\xef\xbb\xbf---\na: b\n---\n", "a: b\n", "", ""},
		{"---\n---\n", "{}\n", "", ""},
		{"---\n# nothing yet\n\n---\nx", "{}\n", "x", ""},
		{"---\na: b\n---", "a: b\n", "", ""},
		{"--- \na: b\n---\t\nx\n---\ny", "a: b\n", "x\n---\ny", ""},
		{"---\na: |\n  ---\n---\n", "a: |\n  ---\n", "", ""},
		{"", "", "", "does not begin with front matter"},
		{"---", "", "", "does not begin"},
		{"a: b\n", "", "", "m.md:1:1: the file does not begin"},
		{"\n---\n---\n", "", "", "does not begin"},
		{"---\na: b\n", "", "", "has no end"},
		{"---\na: b\n----\n", "", "", "has no end"},
		{"---\na: \xff\n---\n", "", "", "m.md:2:1: the file is not text in UTF-8"},
		{"---\n---\nx\x00\n", "", "", "m.md:3:1: the file is not text"},
	} {
		front, body, err := split("m.md", []byte(c.in))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: want an error with %q, got %v", c.in, c.err, err)
			}
			continue
		}
		if err != nil || string(front) != c.front || body != c.body {
			t.Errorf("%q: got %q, %q, %v", c.in, front, body, err)
		}
	}
}

// Whatever is split was there: front matter and body, each as it stood, and
// nothing in between but a fence.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"---\na: b\n---\nbody\n", "---\n---", "---\r\n---\r\n", "---\n--- \n---\n", "x", "\xef\xbb\xbf---\n\n---\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		front, body, err := split("m.md", data)
		if err != nil {
			return
		}
		rest, ok := bytes.CutSuffix(data, []byte(body))
		if !ok {
			t.Fatalf("the body %q is not the end of %q", body, data)
		}
		if string(front) == "{}\n" {
			return // stands for nothing
		}
		i := bytes.IndexByte(rest, '\n')
		fence, ok := bytes.CutPrefix(rest[i+1:], front)
		if !ok || !isFence(bytes.TrimSuffix(fence, []byte("\n"))) || bytes.Count(fence, []byte("\n")) > 1 {
			t.Fatalf("between front matter %q and body %q of %q stands %q", front, body, data, fence)
		}
		for line := range bytes.Lines(front) {
			if isFence(bytes.TrimSuffix(line, []byte("\n"))) {
				t.Fatalf("a fence inside the front matter %q", front)
			}
		}
		_, _ = ParseBottle("m", "m.md", data, "") // must not panic
	})
}
