package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 300)
	for name, c := range map[string]struct{ text, want string }{
		"key":    {"a: 1\nhots: x\n", "11 | hots: x\n   | ^^^^"},
		"value":  {"n: 'two words'\n", "10 | n: 'two words'\n   |    ^^^^^^^^^^^"},
		"tab":    {"n:\t'two'\n", "10 | n: 'two'\n   |    ^^^^^"},
		"wide":   {"ä: 1\nn: ö\n", "10 | ä: 1\n   | ^"},
		"many":   {"n: |\n  one\n  two\n", "10 | n: |\n   |    ^"},
		"syntax": {"n: {\n", ""},
		"long":   {"n: " + long + "\n", "10 | n: " + long[:97] + "...\n   |    " + strings.Repeat("^", 100)},
		"far":    {"m: {" + strings.Repeat("b: c, ", 1) + "n: " + long + "}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var v struct {
				A int `yaml:"a"`
				N int `yaml:"n"`
			}
			err := Decode("f", []byte(c.text), 10, &v)
			var fault *Error
			if !errors.As(err, &fault) {
				t.Fatalf("no error with a place: %v", err)
			}
			got := fault.Excerpt(strings.Clone)
			if c.want != "" && got != c.want {
				t.Errorf("%v\n%s\nnot\n%s", err, got, c.want)
			}
			if strings.Contains(fault.Error(), "\n") {
				t.Errorf("the error is no sentence: %q", fault)
			}
		})
	}
}

// Whatever stands in a file, an excerpt is two lines of bounded length.
func FuzzExcerpt(f *testing.F) {
	f.Add([]byte("a: [1, 2\n"), 1, 3)
	f.Add([]byte("ä\tb\r\n\x00"), 1, 900)
	f.Fuzz(func(t *testing.T, data []byte, line, column int) {
		e := ErrorAt("f", data, line, column, "wrong")
		got := e.Excerpt(strings.Clone)
		if n := strings.Count(got, "\n"); got != "" && n != 1 || len([]rune(got)) > 4*maxExcerpt {
			t.Fatalf("%d line ends in %q", n, got)
		}
	})
}
