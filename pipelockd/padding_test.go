package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
)

// Credentials by their shapes, put together like the one in harness_test.go.
var shapes = map[string]string{
	"github":    secret,
	"npm":       "np" + "m_" + secret[4:],
	"aws":       "AKI" + "AQ3EGRT7YW2PK5LM4",
	"gitlab":    "glp" + "at-x8Kq3Rt7Yw1Pk9Lm5Nb2",
	"hf":        "h" + "f_Zq3Rt7Yw1Pk9Lm5Nb2Vc8Xd4Fg6Hj0Ks1Ae7",
	"openai":    "sk" + "-Zq3Rt7Yw1Pk9Lm5Nb2Vc8Xd4Fg6Hj0Ks1Ae7Zq3Rt7Yw1Pk9",
	"databrick": "da" + "pi0123456789abcdef1a2b3c4d5e6f7a8b",
	"twilio":    "S" + "K0123456789abcdef1a2b3c4d5e6f7a8b",
	"vault":     "hv" + "s.CAESIJ3Rt7Yw1Pk9Lm5Nb2Vc8Xd4",
}

// A token is one wherever it stands: after a letter, an escape, in padding.
func TestPaddedTokens(t *testing.T) {
	d := open(t, nil, nil)
	c := d.client(t, false)
	pad := base64.RawURLEncoding.EncodeToString([]byte("Bottle is a bottle with some b64 data in it And1234567890ABCDE"))[:72]
	for name, token := range shapes {
		for _, s := range []struct{ before, after string }{
			{"X", ""}, {"a", "a"}, {"1", "0"}, {pad, pad}, {"%0A", "%0A"},
		} {
			text := s.before + token + s.after
			if !strings.Contains(text, "%") { // such a path has two readings
				d.wantDenied(t, do(t, c, request(t, "GET", d.url("/"+text), nil)), policy.ReasonSecretFound)
			}
			d.wantDenied(t, do(t, c, request(t, "GET", d.url("/?x="+text), nil)), policy.ReasonSecretFound)
			d.wantDenied(t, do(t, c, withHeader(t, d, "X-A", text)()), policy.ReasonSecretFound)
			d.wantDenied(t, do(t, c, request(t, "POST", d.url("/"), strings.NewReader(text))), policy.ReasonSecretFound)
		}
		for _, escape := range []string{`\n`, `\t`, `\r`, `\u000a`} {
			body := `{"k":"line` + escape + token + escape + `"}`
			d.wantDenied(t, do(t, c, request(t, "POST", d.url("/"), strings.NewReader(body))), policy.ReasonSecretFound)
		}
		if t.Failed() {
			t.Fatalf("the token of %s passes", name)
		}
	}
}

func TestPaddedTokenInAMessage(t *testing.T) {
	got := make(chan []byte, 1)
	d := open(t, echo(got), nil)
	conn, br, _ := d.upgrade(t, "ws.example")
	pad := base64.StdEncoding.EncodeToString([]byte("Bottle is a bottle with some b64 data in it And1234567890ABCDE"))[:72]
	_, _ = conn.Write(frame(1, []byte(pad+secret+pad), true))
	_, _, _ = readFrame(br)
	_ = conn.Close()
	if arrived := <-got; bytes.Contains(arrived, []byte(secret)) {
		t.Errorf("the upstream saw %q", arrived)
	}
}

func TestBasicInEverySpelling(t *testing.T) {
	d := open(t, nil, nil)
	c := d.client(t, false)
	for _, user := range []string{"u:", "uu:", "uuu:", "\xfb\xff:"} {
		plain := []byte(user + secret)
		for _, value := range []string{
			"Basic " + base64.StdEncoding.EncodeToString(plain),
			"Basic " + base64.RawStdEncoding.EncodeToString(plain),
			"basic\t" + base64.RawStdEncoding.EncodeToString(plain),
			"BASIC  \t " + base64.URLEncoding.EncodeToString(plain),
			"Digest a, Basic " + base64.RawURLEncoding.EncodeToString(plain) + ", b",
			"Basic YQ==, Basic " + base64.StdEncoding.EncodeToString(plain) + "!",
		} {
			d.wantDenied(t, do(t, c, withHeader(t, d, "X-Auth", value)()), policy.ReasonSecretFound)
			if t.Failed() {
				t.Fatalf("%q passes", value)
			}
		}
	}
	if a := do(t, c, withHeader(t, d, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:password")))()); a.StatusCode != 200 {
		t.Errorf("an ordinary credential is refused: %s", a.body)
	}
}

// A value full of the scheme's name costs no more than its length.
func TestBasicIsLinear(t *testing.T) {
	total := 0
	for plain := range basic(strings.Repeat("basic", 12000) + strings.Repeat("basic ", 12000)) {
		total += len(plain)
	}
	if total > 1<<17 {
		t.Errorf("%d bytes decoded", total)
	}
}

// What a terminal would obey, or show as something else, is spelled out.
func TestShownTextIsPlain(t *testing.T) {
	for in, want := range map[string]string{
		"/plain": "/plain", "a\u202eb": `a\u202eb`, "\u009b31m": `\u009b31m`, "\x9b31m": `\x9b31m`, "\x1b[0m": `\x1b[0m`, "gr\u00fc\u00df": `gr\u00fc\u00df`,
		secret + "\u202e": maskedText,
	} {
		if got := masked(in); got != want {
			t.Errorf("%q is shown as %q", in, got)
		}
	}
	d := open(t, nil, nil)
	for _, authority := range []string{"a\u202eb.example:443", "\u009b31m.example:443"} {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: a.example:443\r\n\r\n", authority)
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
	lines := d.lines(t)
	if len(lines) != 2 {
		t.Errorf("lines %+v", lines)
	}
	for _, l := range lines {
		for _, c := range l.Path + l.Host + l.Method + l.Detail {
			if c > '~' || c < ' ' {
				t.Errorf("line %+v", l)
			}
		}
	}
}
