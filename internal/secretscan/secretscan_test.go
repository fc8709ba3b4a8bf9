package secretscan

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// Samples are put together at run time, so that this file does not hold what
// scanners look for.
const (
	r36 = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
	r22 = "Zk3vT9qLw2Xc7Bn5Rj8YpQ"
	r64 = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f1"
	b40 = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	b64 = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
)

var positives = []struct{ rule, text string }{
	{"aws-access-key-id", "AKI" + "AIOSFODNN7EXAMPLE"},
	{"aws-access-key-id", "key=ASI" + "AQWERTYUIOP234567;"},
	{"aws-access-key-id", "Credential=AKI" + "AIOSFODNN7EXAMPLE"},
	{"aws-secret-access-key", "aws_secret_access_key = " + b40 + "\n"},
	{"aws-secret-access-key", `"SecretAccessKey": "` + b40 + `"`},
	{"aws-secret-access-key", `AWS_SECRET_ACCESS_KEY=` + b40},
	{"github-token", "gh" + "p_" + r36},
	{"github-token", "gh" + "o_" + r36},
	{"github-token", "gh" + "u_" + r36},
	{"github-token", "gh" + "s_" + r36},
	{"github-token", "gh" + "r_" + r36 + r36},
	{"github-token", "Xgh" + "p_" + r36 + "tail"},
	{"github-fine-grained-token", "github" + "_pat_" + r22 + "_" + r36 + r22 + "1"},
	{"gitlab-token", "glp" + "at-" + r22},
	{"slack-token", "xo" + "xb-123456789012-1234567890123-" + r22 + "ab"},
	{"slack-token", "xo" + "xp-123456789012-123456789012-123456789012-" + r22},
	{"slack-app-token", "xap" + "p-1-A0123456789-1234567890123-" + r64},
	{"stripe-key", "sk_" + "live_" + r22 + "ab"},
	{"stripe-key", "rk_" + "live_" + r22 + "ab"},
	{"openai-key", "sk-" + "proj-" + r36 + "_" + r36},
	{"openai-legacy-key", "sk-" + r22[:20] + "T3BlbkFJ" + r22[:20]},
	{"anthropic-key", "sk-" + "ant-api03-" + r36 + "-" + r36 + "AA"},
	{"google-api-key", "AIz" + "a" + r36[:35]},
	{"google-oauth-secret", "GOC" + "SPX-" + r36[:28]},
	{"google-access-token", "ya2" + "9." + r36 + r36},
	{"npm-token", "np" + "m_" + r36},
	{"pypi-token", "pypi-" + "AgEIcHlwaS5vcmc" + r36 + r36},
	{"huggingface-token", "h" + "f_" + r36[:34]},
	{"sendgrid-key", "S" + "G." + r22 + "." + r36 + "abcdefg"},
	{"twilio-key", "S" + "K" + r64[:32]},
	{"digitalocean-token", "dop" + "_v1_" + r64},
	{"databricks-token", "dap" + "i" + r64[:32]},
	{"dockerhub-token", "dckr" + "_pat_" + r36[:27]},
	{"azure-storage-key", "Account" + "Key=" + r36 + r36 + r22[:14] + "=="},
	{"square-token", "sq0at" + "p-" + r22},
	{"telegram-token", "123456789" + ":A" + "AE" + r36[:32]},
	{"age-secret-key", "AGE-SECRET-" + "KEY-1" + strings.Repeat("QPZRY9X8", 8)[:58]},
	{"openrouter-key", "sk-" + "or-v1-" + r64},
	{"shopify-token", "shp" + "at_" + r64[:32]},
	{"grafana-token", "gls" + "a_" + r36},
	{"vault-token", "hv" + "s." + r36},
	{"linear-key", "lin_" + "api_" + r36 + "abcd"},
	{"postman-key", "PMA" + "K-" + r64[:24] + "-" + r64[:34]},
	{"groq-key", "gs" + "k_" + r36 + r22},
	{"xai-key", "xa" + "i-" + r36 + r36},
	{"perplexity-key", "ppl" + "x-" + r36 + r22},
	{"replicate-token", "r" + "8_" + r36 + "a"},
	{"supabase-token", "sb" + "p_" + r64[:40]},
	{"tailscale-key", "tsk" + "ey-auth-" + r22},
	{"pulumi-token", "pu" + "l-" + r64[:40]},
	{"rubygems-key", "ruby" + "gems_" + r64[:48]},
	{"notion-token", "nt" + "n_" + r36 + r22},
	{"netlify-token", "nf" + "p_" + r36},
	{"figma-token", "fig" + "d_" + r36 + "ab"},
	{"newrelic-key", "NRA" + "K-" + "A1B2C3D4E5F6G7H8I9J0K1L2M3N"},
	{"planetscale-token", "pscale" + "_tkn_" + r36},
	{"atlassian-token", "ATATT3x" + "FfGF0" + r36 + r36},
	{"private-key", "-----BEGIN " + "PRIVATE KEY-----\n" + b64 + "\n"},
	{"private-key", "-----BEGIN " + "RSA PRIVATE KEY-----\\n" + b64},
	{"private-key", "-----BEGIN " + "PRIVATE KEY-----\n" + b64[:39] + "\n" + b64[39:]},
	{"private-key", "-----BEGIN " + " PRIVATE KEY-----\\n" + b64[:9] + "\\n" + b64[9:20] + `\u000a` + b64[20:31] + "\\r\\n" + b64[31:]},
	{"private-key", "-----BEGIN " + "RSA PRIVATE KEY-----\nComment: " + strings.Repeat("x y ", 450) + "\n\n" + b64[:20] + "\n  " + b64[20:]},
	{"private-key", "---- BEGIN " + "SSH2 ENCRYPTED PRIVATE KEY ----\nComment: \"me\"\n" + b64},
	{"private-key", "-----BEGIN " + "OPENSSH PRIVATE KEY-----\r\n" + b64},
	{"private-key", "-----BEGIN " + "PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n" + b64},
	{"private-key", "-----BEGIN " + "EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n\n" + b64},
	{"putty-private-key", "Private" + "-Lines: 14\n" + b64},
	{"putty-private-key", "Private" + "-Lines: 14\r\n" + b64[:30] + "\r\n" + b64[30:]},
}

// pad is what a token may be hidden in: base64 of text.
var pad = base64.RawURLEncoding.EncodeToString([]byte("Bottle is a bottle with some b64 data in it And1234567890ABCDEFGH; what stands in front, and behind, is padding for 1 token."))

var surroundings = []struct{ before, after string }{
	{"", ""}, {`{"text":"`, `"}`}, {"Bearer ", ""}, {"see ", ", please"}, {"a=", "&b=c"}, {"\x00\xff", "\n"},
	{"X", ""}, {"1", "a"}, {"v", "b2"}, {`{"k":"line\n`, `\n"}`}, {`\t`, `\u000a`}, {"%0A", "%0A"},
	{pad[:72], ""}, {pad[:72], pad[:72]}, {"x=" + pad, pad[:72]},
	{strings.Repeat("a", 200), ""}, {strings.Repeat("A", 100), " "}, {"https://host.example/some/quite/long/path/with/many/many/segments/in/it/", "/x"},
}

func TestFindsEveryRule(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range positives {
		seen[p.rule] = true
		f, ok := Default.Find([]byte(p.text))
		if !ok || f.Rule != p.rule {
			t.Errorf("%s: found %v %q", p.rule, ok, f.Rule)
		}
		if strings.Contains(f.Masked, p.text[len(p.text)-8:]) {
			t.Errorf("%s: the mask %q shows the secret", p.rule, f.Masked)
		}
	}
	for _, r := range tokens {
		if !seen[r.name] {
			t.Errorf("no sample for %s", r.name)
		}
	}
}

func TestFindsInSurroundings(t *testing.T) {
	for _, p := range positives {
		for _, s := range surroundings {
			text := s.before + p.text + s.after
			if f, ok := Default.Find([]byte(text)); !ok {
				t.Errorf("%s is missed in %.20q…%q", p.rule, s.before, s.after)
			} else if ok && (f.Offset < 0 || f.Offset >= len(text)) {
				t.Errorf("%s: offset %d", p.rule, f.Offset)
			}
		}
	}
}

// A stream must be stopped before the secret's last byte, however it is cut.
func TestWindowStopsBeforeTheEnd(t *testing.T) {
	for _, p := range positives {
		text := strings.Repeat("harmless text, ", 20) + p.text
		secretEnd := len(text)
		text += " " + strings.Repeat("and more of it ", 60)
		for cut := len(text) - len(p.text) - 900; cut < secretEnd+2; cut++ {
			if cut < 0 || cut > len(text) {
				continue
			}
			out, err := io.ReadAll(Default.NewReader(io.MultiReader(strings.NewReader(text[:cut]), strings.NewReader(text[cut:]))))
			checkStopped(t, p.rule, text, p.text, out, err)
		}
		out, err := io.ReadAll(Default.NewReader(iotest.OneByteReader(strings.NewReader(text))))
		checkStopped(t, p.rule, text, p.text, out, err)
	}
}

func checkStopped(t *testing.T, rule, text, secret string, out []byte, err error) {
	t.Helper()
	var found *Found
	if !errors.As(err, &found) {
		t.Fatalf("%s: passed, error %v", rule, err)
	}
	if !strings.HasPrefix(text, string(out)) || strings.Contains(string(out), secret) {
		t.Fatalf("%s: the secret, or other bytes than were sent, went through", rule)
	}
}

// What is clean goes through unchanged, and at once unless it could be the
// beginning of something.
func TestWindowPassesClean(t *testing.T) {
	text := strings.Join(benign, "\n")
	out, err := io.ReadAll(Default.NewReader(iotest.HalfReader(strings.NewReader(text))))
	if err != nil || string(out) != text {
		t.Fatalf("clean text is changed or refused: %v", err)
	}
	w := Default.NewWindow()
	for _, piece := range []string{"data: hello\n\n", "{\"a\":1}\n", strings.Repeat("q", 5000) + "\n"} {
		w.Write([]byte(piece))
		clean, found := w.Clean(false)
		if found != nil || string(clean) != piece {
			t.Errorf("%.20q is held back: %d of %d bytes went", piece, len(clean), len(piece))
		}
	}
	w.Write([]byte("gh" + "p_a1B2"))
	if clean, _ := w.Clean(false); len(clean) != 0 || w.Held() != 8 {
		t.Errorf("the beginning of a token went out: %q", clean)
	}
	w.Write([]byte(" no token!"))
	if clean, _ := w.Clean(false); string(clean) != "gh"+"p_a1B2 no token!" {
		t.Errorf("what turned out clean is %q", clean)
	}
}

func TestWindowIsBounded(t *testing.T) {
	w := Default.NewWindow()
	rng := rand.New(rand.NewPCG(1, 2))
	piece := make([]byte, 4096)
	for range 2000 {
		for i := range piece {
			piece[i] = "-BEGINPRVATKYghpsk_ "[rng.IntN(20)]
		}
		w.Write(piece)
		if _, found := w.Clean(false); found != nil {
			t.Fatal(found)
		}
		if w.Held() > MaxReach {
			t.Fatalf("%d bytes are held", w.Held())
		}
	}
	if cap(w.buf) > 4*(len(piece)+Context+MaxReach) {
		t.Errorf("the window grew to %d bytes", cap(w.buf))
	}
}

func TestFind(t *testing.T) {
	secret := "gh" + "p_" + r36
	once := strings.ReplaceAll(secret, "_", "%5F")
	tests := []string{secret, once, strings.ReplaceAll(once, "%", "%25"), strings.ReplaceAll(once, "%", "%2525"), "%67h" + "p%5f" + r36, "100%&t=" + once}
	for _, s := range tests {
		if _, ok := Default.Find([]byte("/path?q=" + s)); !ok {
			t.Errorf("%s is missed", s)
		}
	}
	for _, s := range benign {
		if f, ok := Default.Find([]byte(s)); ok {
			t.Errorf("%s in %q", f.Rule, s)
		}
	}
}

// raced says that the race detector is on.
var raced bool

func TestCleanInputAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector empties pools at random; the run without it counts")
	}
	data := []byte(strings.Join(benign, "\n"))
	if n := testing.AllocsPerRun(20, func() { Default.Find(data) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNewPanics(t *testing.T) {
	for _, r := range []Rule{{}, {Name: "x", Literals: []string{"a"}, Check: func(Candidate) Verdict { return No }}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New(%+v) accepted a bad rule", r.Name)
				}
			}()
			New([]Rule{r})
		}()
	}
}

// However a stream is cut, the window and the whole-buffer scan agree.
func FuzzWindowAgrees(f *testing.F) {
	for _, p := range positives {
		f.Add([]byte("x "+p.text+" y"), uint8(7), uint8(31))
	}
	for _, b := range benign {
		f.Add([]byte(b), uint8(3), uint8(200))
	}
	f.Fuzz(func(t *testing.T, data []byte, a, b uint8) {
		_, whole := Default.Find(data)
		var got []byte
		w := Default.NewWindow()
		cut, streamed := false, false
		for rest := data; ; cut = !cut {
			n := int(a)%64 + 1
			if cut {
				n = int(b) + 1
			}
			n = min(n, len(rest))
			w.Write(rest[:n])
			rest = rest[n:]
			clean, found := w.Clean(len(rest) == 0)
			got = append(got, clean...)
			if streamed = found != nil; streamed || len(rest) == 0 {
				break
			}
		}
		if whole != streamed {
			t.Fatalf("whole buffer: %v, stream: %v", whole, streamed)
		}
		if !bytes.HasPrefix(data, got) || !streamed && len(got) != len(data) {
			t.Fatalf("%d of %d bytes came through, or others", len(got), len(data))
		}
		if _, leak := Default.Find(got); leak && streamed {
			t.Fatal("a whole secret came through before the stream was stopped")
		}
	})
}
