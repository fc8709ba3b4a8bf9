package scrub

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bottlesuite/bottle/internal/secret"
)

const token = `sk-T0ken/with+odd"bytes&=42`

func set() *Set { return NewSet([]Secret{{"API_TOKEN", secret.New(token)}}) }

// spelled lists echoes of the token as servers make them.
func spelled() map[string]string {
	out := map[string]string{
		"plain": token, "hex": hex.EncodeToString([]byte(token)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(token))),
		"query": url.QueryEscape(token), "path": url.PathEscape(token), "query lower": lowerEscapes(url.QueryEscape(token)),
		"json slash": strings.ReplaceAll(strings.ReplaceAll(token, `"`, `\"`), "/", `\/`),
	}
	j, _ := json.Marshal(map[string]string{"authorization": "Bearer " + token})
	out["json"] = string(j)
	for phase, before := range []string{"", "a", "ab"} {
		for _, after := range []string{"", "x", "xy"} {
			whole := []byte(before + token + after)
			out[fmt.Sprintf("base64 %d %q", phase, after)] = base64.StdEncoding.EncodeToString(whole)
			out[fmt.Sprintf("base64url %d %q", phase, after)] = base64.RawURLEncoding.EncodeToString(whole)
		}
	}
	return out
}

// leaks reports whether s gives the token away under any decoding that the
// spellings come from.
func leaks(s string) bool {
	if strings.Contains(s, token[4:]) {
		return true
	}
	for _, echo := range spelled() {
		core := echo[4 : len(echo)-4]
		if strings.Contains(s, core) {
			return true
		}
	}
	return false
}

func TestEverySpellingAtEveryCut(t *testing.T) {
	s := set()
	for name, echo := range spelled() {
		text := "before " + echo + " after"
		if got, hits := s.String(text); hits == 0 || leaks(got) || len(got) != len(text) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%s: %d hits in %q", name, hits, got)
		}
		for cut := range len(text) {
			src := io.MultiReader(strings.NewReader(text[:cut]), strings.NewReader(text[cut:]))
			hits := -1
			got, err := io.ReadAll(s.NewReader(src, func(n int) { hits = n }))
			if err != nil || hits < 1 || leaks(string(got)) || len(got) != len(text) {
				t.Errorf("%s cut at %d: %d hits, %q, %v", name, cut, hits, got, err)
			}
		}
		got, err := io.ReadAll(s.NewReader(iotest.OneByteReader(strings.NewReader(text)), nil))
		if err != nil || leaks(string(got)) || len(got) != len(text) {
			t.Errorf("%s byte by byte: %q, %v", name, got, err)
		}
	}
}

func TestPlainMaskNamesTheCredential(t *testing.T) {
	if got, _ := set().String("x " + token + " y"); got != "x "+plainMask("API_TOKEN", len(token))+" y" || !strings.Contains(got, "bottle-placeholder-API") {
		t.Errorf("got %q", got)
	}
}

func TestCleanDataPassesUnchanged(t *testing.T) {
	s := set()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var b bytes.Buffer
		for range r.IntN(50) {
			switch r.IntN(3) {
			case 0:
				b.WriteString(token[:r.IntN(len(token))])
			case 1:
				b.WriteByte(byte(r.IntN(256)))
			default:
				b.WriteString("data: {\"x\": 1}\n\n")
			}
		}
		b.WriteByte('\n') // an end inside a beginning is masked
		want := b.String()
		if strings.Contains(want, token) {
			continue
		}
		got, err := io.ReadAll(s.NewReader(iotest.HalfReader(strings.NewReader(want)), nil))
		if err != nil || string(got) != want {
			t.Fatalf("%q became %q, %v", want, got, err)
		}
	}
}

// TestNothingWaitsButABeginning reads event by event through a pipe: each must
// come out although the stream goes on, down to Reveal bytes of a beginning.
func TestNothingWaitsButABeginning(t *testing.T) {
	pr, pw := io.Pipe()
	r := set().NewReader(pr, nil)
	buf := make([]byte, 100)
	for _, event := range []string{"data: 1\n\n", "ends in s", "ends in sk-", "data: 2\n\n"} {
		go func() { _, _ = io.WriteString(pw, event) }()
		if n, err := io.ReadFull(r, buf[:len(event)]); err != nil || string(buf[:n]) != event {
			t.Fatalf("%q: %q, %v", event, buf[:n], err)
		}
	}
}

func TestErrorsPassAfterTheData(t *testing.T) {
	r := set().NewReader(io.MultiReader(strings.NewReader("abc sk-T0k"), iotest.ErrReader(io.ErrUnexpectedEOF)), nil)
	got, err := io.ReadAll(r)
	if err != io.ErrUnexpectedEOF || string(got) != "abc sk-T0k" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestEndInsideACredential ends the stream one byte before a credential does,
// read whole and byte by byte.
func TestEndInsideACredential(t *testing.T) {
	text := "abc " + token[:len(token)-1]
	for name, src := range map[string]io.Reader{"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text))} {
		hits := 0
		got, err := io.ReadAll(set().NewReader(src, func(n int) { hits = n }))
		if err != nil || len(got) != len(text) || strings.Contains(string(got), token[:Reveal+1]) || hits != 1 {
			t.Errorf("%s: %q, %d hits, %v", name, got, hits, err)
		}
	}
}

func TestNamesOfFields(t *testing.T) {
	s := NewSet([]Secret{{"K", secret.New("Deadbeef0123")}})
	if !s.Holds("X-Echo-deadBEEF0123") || s.Holds("X-Echo-Deadbeef") || s.Holds("short") {
		t.Error("a credential in a name is not seen, or one that is not there is")
	}
}

func TestShortCredentialsAreLeftAlone(t *testing.T) {
	if !NewSet([]Secret{{"PIN", secret.New("1234567")}}).Empty() {
		t.Error("a short credential is scrubbed")
	}
	var none *Set
	if got, hits := none.String("text that is long"); hits != 0 || got != "text that is long" {
		t.Errorf("%q", got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add("before ", " after", uint8(3), uint8(0))
	f.Add("sk-T0", token[:5], uint8(1), uint8(2))
	s := set()
	echoes := []string{}
	for _, e := range spelled() {
		echoes = append(echoes, e)
	}
	f.Fuzz(func(t *testing.T, before, after string, step, which uint8) {
		text := before + token + after + echoes[int(which)%len(echoes)]
		whole, _ := s.String(text)
		got, err := io.ReadAll(s.NewReader(&stepReader{text, int(step%40) + 1}, nil))
		if err != nil || len(got) != len(text) || strings.Contains(string(got), token) {
			t.Fatalf("%q by %d became %q, %v", text, step, got, err)
		}
		if strings.Contains(whole, token) {
			t.Fatalf("%q became %q", text, whole)
		}
	})
}

// stepReader gives n bytes at a time.
type stepReader struct {
	s string
	n int
}

func (r *stepReader) Read(p []byte) (int, error) {
	if r.s == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.n)], r.s)
	r.s = r.s[n:]
	return n, nil
}

func BenchmarkReader(b *testing.B) {
	text := bytes.Repeat([]byte(`{"id":"msg_01","type":"message","content":[{"type":"text","text":"hello sk world"}]}`+"\n"), 12000)
	s := set()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{s.NewReader(bytes.NewReader(text), nil)}); err != nil {
			b.Fatal(err)
		}
	}
}
