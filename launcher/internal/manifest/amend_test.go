package manifest

import (
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

func TestAmend(t *testing.T) {
	const text = `---
# why this bottle is
supervise: true
egress:
  routes:
    - host: api.example.com # the API
      matches: [{path: {prefix: /v1/}, methods: [GET]}]
---

# dev
The body stays --- as it is.
`
	route := wire.Grant{Route: &wire.Route{Host: "new.example.com", Matches: []wire.Match{{Methods: []string{"POST"}}}}}
	out, err := Amend("dev", "dev.md", []byte(text), route, "")
	if err != nil {
		t.Fatal(err)
	}
	if out, err = Amend("dev", "dev.md", out, wire.Grant{Host: "dial.example.com"}, ""); err != nil {
		t.Fatal(err)
	}
	b, err := ParseBottle("dev", "dev.md", out, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Routes) != 2 || b.Routes[1].Host != "new.example.com" || b.Pipelock.Allow[0] != "dial.example.com" || !b.Supervise {
		t.Errorf("%+v", b)
	}
	for _, want := range []string{"# why this bottle is", "# the API", "\n# dev\nThe body stays --- as it is.\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is gone from\n%s", want, out)
		}
	}
	if _, err := Amend("dev", "dev.md", []byte("---\negress: {routes: x}\n---\n"), route, ""); err == nil {
		t.Error("routes that are no list were added to")
	}
}
