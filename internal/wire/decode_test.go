package wire

import (
	"strings"
	"testing"
)

func TestDecodeReportsThePlace(t *testing.T) {
	const head = "version: 1\nbottle: b\n"
	for name, tc := range map[string]struct{ in, want string }{
		"unknown key":       {head + "routes:\n  - host: a.example\n    mathces: []\n", `f.yaml:5:5: unknown key "mathces" (did you mean "matches"?)`},
		"far from any":      {head + "audit: {whatever: 1}\n", `f.yaml:3:9: unknown key "whatever" (known here: file, keep, max_bytes)`},
		"key twice":         {head + "bottle: c\n", `f.yaml:3:1: the key "bottle" stands twice`},
		"list for mapping":  {head + "audit: [a]\n", `f.yaml:3:8: audit must be a mapping (key: value), not a list`},
		"mapping for list":  {head + "routes: {a: b}\n", `f.yaml:3:9: routes must be a list, not a mapping`},
		"list for scalar":   {"bottle: [a]\n", `f.yaml:1:9: bottle must be a single value, not a list`},
		"word for number":   {"version: one\n", `f.yaml:1:10: version must be a whole number, not "one"`},
		"word for boolean":  {"routes: [{host: a.example, websocket: maybe}]\n", `f.yaml:1:39: routes[0].websocket must be true or false, not "maybe"`},
		"bad size":          {"routes: [{host: a.example, limits: {max_request_bytes: 10MB}}]\n", `routes[0].limits.max_request_bytes: size "10MB" is not a number of bytes`},
		"alias":             {"bottle: &a x\naudit: {file: *a}\n", `anchors and aliases are not used`},
		"tag":               {"bottle: !env HOME\n", `the tag !env is not used in this file`},
		"long tag":          {"bottle: !!binary aGk=\n", `the tag`},
		"merge key":         {"<<: {bottle: x}\n", `a key must be a plain word`},
		"broken syntax":     {head + "routes: [\n", `f.yaml:`},
		"scalar for struct": {"just words\n", `f.yaml:1:1: the document must be a mapping`},
		"two documents":     {"bottle: a\n---\nbottle: b\n", `f.yaml:`},
	} {
		t.Run(name, func(t *testing.T) {
			var c Egressd
			err := Decode("f.yaml", []byte(tc.in), 1, &c)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestEmptyDocumentIsEmpty(t *testing.T) {
	for _, in := range []string{"", "# only a comment\n", "---\n"} {
		var c Egressd
		if err := Decode("f.yaml", []byte(in), 1, &c); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestDecodeFills(t *testing.T) {
	var c Egressd
	err := Decode("f.yaml", []byte(`
version: 1
bottle: 0755
listen: {proxy: ":9099", admin: "127.0.0.1:9901"}
dns: {listen: ":53", names: {egress: 10.0.0.2}}
routes:
  - host: api.example
    matches: [{path: {prefix: /v1/}, methods: [GET, POST]}]
    auth: {scheme: Bearer, token_ref: T}
    websocket: true
    limits: {max_request_bytes: 10MiB}
`), 1, &c)
	if err != nil {
		t.Fatal(err)
	}
	r := c.Routes[0]
	if c.Bottle != "0755" || r.Host != "api.example" || r.Matches[0].Path.Prefix != "/v1/" || r.Matches[0].Methods[1] != "POST" ||
		r.Auth.TokenRef != "T" || !r.WebSocket || r.Limits.MaxRequestBytes != 10<<20 || c.DNS.Names["egress"] != "10.0.0.2" {
		t.Errorf("got %+v", c)
	}
}

func TestErrorfFindsTheNearestPlace(t *testing.T) {
	doc, err := Parse("m.md", []byte("bottle: b\nroutes:\n  - host: a.example\n    auth: {scheme: Bearer}\n"), 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Decode(&Egressd{}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"routes[0].host":           "m.md:5:11: x",
		"routes[0].auth.token_ref": "m.md:6:11: x", // absent: its mapping
		"nowhere":                  "m.md:3:1: x",
	} {
		if got := doc.Errorf(path, "x").Error(); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[string]Size{"0": 0, "512": 512, "512B": 512, "64KiB": 64 << 10, "10MiB": 10 << 20, "4GiB": 4 << 30} {
		got, err := ParseSize(in)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v", in, got, err)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%s prints as %s", in, got)
		}
	}
	for _, in := range []string{"", "-1", "10MB", "1.5GiB", "99999999999GiB", "MiB", "x"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("version: 1\nroutes: [{host: a.example}]\n")
	f.Add("a: &x [*x]\n")
	f.Fuzz(func(t *testing.T, in string) {
		var c Egressd
		if err := Decode("f", []byte(in), 1, &c); err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("an error without a place: %v", err)
		}
	})
}
