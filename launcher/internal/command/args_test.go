package command

import (
	"slices"
	"strings"
	"testing"
)

func TestArrange(t *testing.T) {
	app := (&run{}).app()
	for _, c := range []struct{ in, head, tail string }{
		{"start demo --dry-run", "start --dry-run -- demo", "<none>"},
		{"start --dry-run demo", "start --dry-run -- demo", "<none>"},
		{"start demo -y -- ls --yes", "start -y -- demo", "ls --yes"},
		{"start demo --", "start -- demo", ""},
		{"exec a --user root b", "exec --user root -- a b", "<none>"},
		{"exec a --user=root -- --", "exec --user=root -- a", "--"},
		{"render demo -o dir", "render -o dir -- demo", "<none>"},
		{"render -o --yes demo", "render -o --yes -- demo", "<none>"},
		{"start - demo", "start -- - demo", "<none>"},
		{"start demo --nope", "start --nope -- demo", "<none>"},
		{"nope demo --x", "nope demo --x", "<none>"},
		{"", "", "<none>"},
	} {
		head, tail, err := arrange(app, append([]string{"launcher"}, strings.Fields(c.in)...))
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		got := "<none>"
		if tail != nil {
			got = strings.Join(tail, " ")
		}
		if h := strings.Join(head[1:], " "); h != c.head || got != c.tail {
			t.Errorf("%s: got %q and %q", c.in, h, got)
		}
	}
}

// Whatever stands after -- reaches the command byte for byte, and no flag of
// the launcher's is lost before it.
func FuzzArrange(f *testing.F) {
	app := (&run{}).app()
	f.Add("start\x00demo\x00--dry-run\x00--\x00a")
	f.Fuzz(func(t *testing.T, line string) {
		args := append([]string{"launcher"}, strings.Split(line, "\x00")...)
		head, tail, err := arrange(app, slices.Clone(args))
		if err != nil {
			return
		}
		if i := slices.Index(args, "--"); i >= 0 && !slices.Equal(tail, args[i+1:]) {
			t.Fatalf("%q: the tail is %q", args, tail)
		} else if i < 0 && tail != nil {
			t.Fatalf("%q: a tail out of nothing: %q", args, tail)
		}
		before := args
		if i := slices.Index(args, "--"); i >= 0 {
			before = args[:i]
		}
		words := slices.DeleteFunc(slices.Clone(head), func(s string) bool { return s == "--" })
		slices.Sort(words)
		want := slices.Sorted(slices.Values(before))
		if !slices.Equal(words, want) {
			t.Fatalf("%q became %q", before, head)
		}
	})
}
