package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

func withActions(actions ...wire.ScanAction) func(*wire.Pipelockd, string) {
	return func(c *wire.Pipelockd, _ string) { c.Scan.Actions = actions }
}

// A redacted secret is gone, and everything around it is as it was: lengths,
// quotes, parts.
func TestRedact(t *testing.T) {
	d := open(t, nil, withActions(wire.ScanAction{Rules: []string{"github-*"}, Action: "redact"}))
	var multi bytes.Buffer
	mw := multipart.NewWriter(&multi)
	part, _ := mw.CreateFormFile("f", "x.txt")
	_, _ = io.WriteString(part, "before "+secret+" behind")
	_ = mw.Close()
	long := strings.Repeat("some ordinary text, and more of it ", 20<<10)
	for _, h2 := range []bool{false, true} {
		for name, body := range map[string]string{
			"json":      `{"a":"` + secret + `","b":1}`,
			"multipart": multi.String(),
			"twice":     secret + " " + secret,
			"base64":    `{"f":"` + base64.StdEncoding.EncodeToString([]byte("the token is "+secret+", is it not")) + `"}`,
			"long":      long + secret + long,
			"escaped":   `{"a":"` + strings.ReplaceAll(secret, "_", `\u005f`) + `"}`,
		} {
			for _, chunked := range []bool{false, true} {
				var r io.Reader = strings.NewReader(body)
				if chunked {
					r = unknown{r}
				}
				if a := do(t, d.client(t, h2), request(t, "POST", d.url("/"), r)); a.StatusCode != 200 {
					t.Fatalf("%s: %s %s", name, a.Status, a.body)
				}
				seen := d.upstream.Seen()
				if len(seen) != 1 || len(seen[0].Body) != len(body) {
					t.Fatalf("%s: the length is changed, or it did not arrive", name)
				}
				got := string(seen[0].Body)
				if _, found := bare().table.scanning.bodies.Find(seen[0].Body); found || strings.Contains(got, secret[8:]) {
					t.Errorf("%s: the secret arrived", name)
				}
				if name != "base64" && strings.Trim(strings.ReplaceAll(got, "x", ""), "x") == "" || got[:3] != body[:3] && !strings.HasPrefix(body, secret) {
					t.Errorf("%s: more is changed than the secret: %.80q", name, got)
				}
			}
		}
	}
	for _, l := range d.waitLines(t, 24) {
		if l.Decision != policy.Redact || !strings.Contains(l.Detail, "redacted github-token in body") {
			t.Errorf("line %+v", l)
		}
	}
	// What cannot be rewritten is blocked.
	req := request(t, "POST", d.url("/"), bytes.NewReader(compress(t, "gzip", []byte(secret))))
	req.Header.Set("Content-Encoding", "gzip")
	d.wantDenied(t, do(t, d.client(t, false), req), policy.ReasonSecretFound)
	d.wantDenied(t, do(t, d.client(t, false), withHeader(t, d, "X-Note", secret)()), policy.ReasonSecretFound)
}

func TestWarnAndIgnore(t *testing.T) {
	d := open(t, nil, withActions(
		wire.ScanAction{Rules: []string{"github-token"}, Hosts: []string{"other.example"}, Action: "ignore"},
		wire.ScanAction{Rules: []string{"github-token"}, Action: "warn"}))
	if a := do(t, d.client(t, false), request(t, "POST", d.url("/"), strings.NewReader("x "+secret))); a.StatusCode != 200 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if l := d.waitLines(t, 1)[0]; l.Detail != "passed github-token in body" || l.Decision != policy.Allow {
		t.Errorf("line %+v", l)
	}
	other := "np" + "m_" + strings.Repeat("a1B2c3", 6)
	d.upstream.Seen()
	d.wantDenied(t, do(t, d.client(t, false), request(t, "POST", d.url("/"), strings.NewReader(other))), policy.ReasonSecretFound)
}

// aSeed is the phrase of BIP-39's test vectors for the entropy 0x7f7f….
const aSeed = "legal winner thank year wave sausage worth useful legal winner thank yellow"

// Seed phrases are found where they are not part of a conversation.
func TestSeedPhrases(t *testing.T) {
	no := false
	d := open(t, nil, nil)
	quiet := open(t, nil, func(c *wire.Pipelockd, _ string) { c.Allow[0].SeedPhrases = &no })
	for _, body := range []string{aSeed, strings.ToUpper(aSeed), `["` + strings.ReplaceAll(aSeed, " ", `","`) + `"]`, base64.StdEncoding.EncodeToString([]byte(aSeed))} {
		if l := d.wantDenied(t, do(t, d.client(t, false), request(t, "POST", d.url("/"), strings.NewReader(body))), policy.ReasonSecretFound); l.Rule != "bip39-seed-phrase" {
			t.Errorf("line %+v", l)
		}
	}
	wrong := strings.Replace(aSeed, "yellow", "zoo", 1) // the checksum does not hold
	if a := do(t, d.client(t, false), request(t, "POST", d.url("/"), strings.NewReader(wrong))); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	if a := do(t, quiet.client(t, false), request(t, "POST", quiet.url("/"), strings.NewReader(aSeed))); a.StatusCode != 200 {
		t.Errorf("%s %s", a.Status, a.body)
	}
	x := bare()
	x.host = "api.anthropic.com"
	if x.table.scanning.seedsOn(x) {
		t.Error("a model's host is looked at for seed phrases")
	}
}
