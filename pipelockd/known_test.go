package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secretscan"
	"github.com/bottlesuite/bottle/internal/testkit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// aPassword has no shape that a rule knows.
const aPassword = "correct-Horse7battery.staple-Tango9"

// aCanary is a planted value.
const aCanary = "0123canary4567planted89ab"

// withKnown tells a door of values that must not leave.
func withKnown(t testing.TB) func(*wire.Pipelockd, string) {
	dir := t.TempDir()
	raw := bytes.Repeat([]byte{9}, 32)
	key := secretscan.NewKey(raw)
	var file strings.Builder
	file.WriteString("version: 1\nvalues:\n")
	for _, v := range []struct {
		name, value string
		kind        secretscan.KnownKind
	}{{"DB_PASS", aPassword, secretscan.KnownSecret}, {"BAIT", aCanary, secretscan.Canary}} {
		f, err := key.Fingerprint(v.name, v.kind, []byte(v.value))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&file, "  - {name: %s, kind: %s, pieces: \"", v.name, v.kind)
		for _, h := range f.Pieces {
			fmt.Fprintf(&file, "%016x", h)
		}
		file.WriteString("\"}\n")
	}
	for _, v := range []string{aPassword, aCanary} {
		if strings.Contains(file.String(), v) {
			t.Fatal("the file of fingerprints holds a value")
		}
	}
	testkit.WriteFile(t, filepath.Join(dir, "known.key"), []byte(hex.EncodeToString(raw)))
	testkit.WriteFile(t, filepath.Join(dir, "known.yaml"), []byte(file.String()))
	return func(c *wire.Pipelockd, _ string) {
		c.Known = &wire.KnownFiles{Key: filepath.Join(dir, "known.key"), Fingerprints: filepath.Join(dir, "known.yaml")}
	}
}

// A known value is found wherever it stands, in whatever spelling.
func TestKnownValues(t *testing.T) {
	d := open(t, nil, withKnown(t))
	for _, h2 := range []bool{false, true} {
		c := d.client(t, h2)
		for name, req := range map[string]*http.Request{
			"path":             request(t, "GET", d.url("/"+aPassword), nil),
			"query":            request(t, "GET", d.url("/?q=x"+aPassword+"x"), nil),
			"header":           withHeader(t, d, "X-Note", aPassword)(),
			"header, folded":   withHeader(t, d, "X-Note", strings.ToUpper(aPassword))(),
			"body":             request(t, "POST", d.url("/"), strings.NewReader(`{"a":"`+aPassword+`"}`)),
			"base64, shifted":  request(t, "POST", d.url("/"), strings.NewReader(base64.StdEncoding.EncodeToString([]byte("xx"+aPassword)))),
			"hex":              request(t, "POST", d.url("/"), strings.NewReader(hex.EncodeToString([]byte(aPassword)))),
			"gzip in base64":   request(t, "POST", d.url("/"), strings.NewReader(base64.StdEncoding.EncodeToString(compress(t, "gzip", []byte(aPassword))))),
			"split in a body":  request(t, "POST", d.url("/"), strings.NewReader(`{"a":"`+aPassword[:17]+`","b":"`+aPassword[17:]+`"}`)),
			"most of it":       request(t, "POST", d.url("/"), strings.NewReader(aPassword[3:28])),
			"query and a body": request(t, "POST", d.url("/?a="+aPassword[:15]), strings.NewReader(aPassword[15:])),
		} {
			d.service.seen = sightings{}
			l := d.wantDenied(t, do(t, c, req), policy.ReasonSecretFound)
			if l.Rule != "known-secret" || !strings.Contains(l.Detail, "DB_PASS") || strings.Contains(l.Detail, aPassword[:12]) {
				t.Errorf("%s: line %+v", name, l)
			}
		}
	}
	d.service.seen = sightings{}
	if l := d.wantDenied(t, do(t, d.client(t, false), withHeader(t, d, "X-Note", aCanary)()), policy.ReasonSecretFound); l.Rule != "canary" {
		t.Errorf("line %+v", l)
	}
}

// A value that goes in parts, a request each, does not arrive as a whole.
func TestKnownValueInParts(t *testing.T) {
	d := open(t, nil, withKnown(t))
	c := d.client(t, false)
	const step = 10
	denied := false
	for i := 0; i < len(aPassword) && !denied; i += step {
		a := do(t, c, request(t, "POST", d.url("/"), strings.NewReader("part: "+aPassword[i:min(len(aPassword), i+step)])))
		denied = a.problem.Reason == policy.ReasonSecretFound
	}
	if !denied {
		t.Error("all parts arrived")
	}
	var got strings.Builder
	for _, s := range d.upstream.Seen() {
		got.Write(s.Body)
	}
	if n := strings.Count(got.String(), "part: "); n > 2 {
		t.Errorf("%d parts arrived", n)
	}
}

// Ordinary text about a value is not the value: its beginning alone, which its
// kind gives it, passes.
func TestPartOfAKnownValuePasses(t *testing.T) {
	d := open(t, nil, withKnown(t))
	for range 3 {
		if a := do(t, d.client(t, false), request(t, "POST", d.url("/"), strings.NewReader("it begins with correct-Ho, they say"))); a.StatusCode != 200 {
			t.Fatalf("%s %s", a.Status, a.body)
		}
	}
}
