package main

import (
	"bufio"
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
)

var update = flag.Bool("update", false, "write docs/encodings.md")

const encodingsDoc = "../docs/encodings.md"

// each writes every byte of s by a format.
func each(s, format string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, format, s[i])
	}
	return b.String()
}

func wide(s string, big bool) string {
	var b bytes.Buffer
	for _, u := range utf16.Encode([]rune(s)) {
		pair := []byte{byte(u), byte(u >> 8)}
		if big {
			pair[0], pair[1] = pair[1], pair[0]
		}
		b.Write(pair)
	}
	return b.String()
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func packed(t testing.TB, coding, s string) string {
	if coding == "br" { // as one block, which is what encoders make of a short text
		var b bytes.Buffer
		w := brotli.NewWriter(&b)
		_, err := io.WriteString(w, s)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	return string(squeeze(t, coding, []byte(s), 6, 0))
}

// encodings are the spellings in which a secret is tried.
func encodings(t testing.TB) []struct{ name, text string } {
	context := "the key is " + secret + ", keep it"
	lines := b64(context)
	return []struct{ name, text string }{
		{"plain", secret},
		{"base64", b64(secret)}, {"base64, shifted by one", b64("x" + secret)}, {"base64, shifted by two", b64("xy" + secret)},
		{"base64 behind a letter", "Q" + b64(secret)},
		{"base64url", base64.RawURLEncoding.EncodeToString([]byte("?>" + secret))},
		{"base64 in lines", lines[:32] + "\r\n" + lines[32:64] + "\r\n" + lines[64:]},
		{"base32", base32.StdEncoding.EncodeToString([]byte(secret))},
		{"hex", hex.EncodeToString([]byte(secret))}, {"HEX", strings.ToUpper(hex.EncodeToString([]byte(secret)))},
		{"hex with colons", strings.Trim(each(secret, "%02x:"), ":")}, {"hex with blanks", strings.TrimSpace(each(secret, "%02X "))},
		{"0x list", strings.Trim(each(secret, "0x%02x, "), ", ")}, {"decimal list", "[" + strings.Trim(each(secret, "%d,"), ",") + "]"},
		{`\x escapes`, each(secret, `\x%02x`)}, {`\u escapes`, each(secret, `\u%04x`)}, {"octal escapes", each(secret, `\%03o`)},
		{"percent", each(secret, "%%%02X")}, {"percent twice", each(secret, "%%25%02x")},
		{"HTML entities", each(secret, "&#%d;")}, {"HTML entities, hex", each(secret, "&#x%x;")},
		{"JSON in JSON", `{\"a\":\"` + strings.ReplaceAll(secret, "_", `\\u005f`) + `\"}`},
		{"full-width", strings.Map(func(r rune) rune { return r + 0xfee0 }, secret)},
		{"zero-width", strings.Join(strings.Split(secret, ""), "\u200b")},
		{"look-alikes", strings.NewReplacer("p", "р", "a", "а", "e", "е").Replace("x"+secret) + "  "},
		{"UTF-16 LE", wide(secret, false)}, {"UTF-16 BE", wide(secret, true)},
		{"gzip", packed(t, "gzip", context)}, {"zlib", packed(t, "deflate", context)}, {"zstd", packed(t, "zstd", context)},
		{"gzip in base64", b64(packed(t, "gzip", context))}, {"zstd in base64", b64(packed(t, "zstd", context))},
		{"brotli in base64", b64(packed(t, "br", context))}, {"zlib in hex", hex.EncodeToString([]byte(packed(t, "deflate", context)))},
		{"base64 in gzip", packed(t, "gzip", b64(context))}, {"base64 twice", b64(b64(secret))},
		{"hex in base64", b64(hex.EncodeToString([]byte(secret)))}, {"base64 in percent", each(b64(secret), "%%%02x")},
		{"UTF-16 in base64", b64(wide(secret, false))}, {"three layers", b64(b64(b64(secret)))},
	}
}

// positions are the places of a request in which it is tried.
var positions = []struct {
	name string
	send func(t *testing.T, d *door, text string) (*http.Request, bool)
}{
	{"path", func(t *testing.T, d *door, s string) (*http.Request, bool) {
		return request(t, "GET", d.url("/x/")+url.PathEscape(s), nil), inPath(s)
	}},
	{"query", func(t *testing.T, d *door, s string) (*http.Request, bool) {
		return request(t, "GET", d.url("/?q=")+url.QueryEscape(s)+"&z=1", nil), true
	}},
	{"header", inHeader("X-Note", "")}, {"user agent", inHeader("User-Agent", "tool/1.0 ")},
	{"cookie", inHeader("Cookie", "a=b; c=")}, {"bearer", inHeader("Authorization", "Bearer ")},
	{"JSON body", inBody("application/json", `{"messages":[{"content":"`, `"}]}`)},
	{"text body", inBody("text/plain", "see this: '", "' and more")},
	{"form field", func(t *testing.T, d *door, s string) (*http.Request, bool) {
		r := request(t, "POST", d.url("/"), strings.NewReader(url.Values{"a": {"b"}, "t": {s}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r, true
	}},
	{"multipart", func(t *testing.T, d *door, s string) (*http.Request, bool) {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		p, _ := w.CreateFormFile("f", "x.bin")
		_, _ = io.WriteString(p, s)
		_ = w.Close()
		r := request(t, "POST", d.url("/"), &b)
		r.Header.Set("Content-Type", w.FormDataContentType())
		return r, true
	}},
	{"trailer", func(t *testing.T, d *door, s string) (*http.Request, bool) {
		r := request(t, "POST", d.url("/"), unknown{strings.NewReader("q")})
		r.Trailer = http.Header{"X-Sum": {s}}
		return r, inField(s)
	}},
	{"gzip body", func(t *testing.T, d *door, s string) (*http.Request, bool) {
		r := request(t, "POST", d.url("/"), bytes.NewReader(compress(t, "gzip", []byte("a "+s+" b"))))
		r.Header.Set("Content-Encoding", "gzip")
		return r, true
	}},
	{"end of a long body", inBody("text/plain", strings.Repeat("some ordinary text, and more of it\n", 12<<10), "\nand an end\n")},
}

// inPath reports whether a text can stand in a path at all.
func inPath(s string) bool {
	return inField(s) && !strings.ContainsAny(s, `/\;`) && !strings.Contains(s, "%")
}

// inField reports whether a text can stand in a header.
func inField(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0 && strings.ToValidUTF8(s, "") == s
}

func inHeader(name, before string) func(*testing.T, *door, string) (*http.Request, bool) {
	return func(t *testing.T, d *door, s string) (*http.Request, bool) {
		r := request(t, "GET", d.url("/"), nil)
		r.Header.Set(name, before+s)
		return r, inField(s)
	}
}

func inBody(kind, before, behind string) func(*testing.T, *door, string) (*http.Request, bool) {
	return func(t *testing.T, d *door, s string) (*http.Request, bool) {
		r := request(t, "POST", d.url("/"), strings.NewReader(before+s+behind))
		r.Header.Set("Content-Type", kind)
		return r, true
	}
}

// Every spelling in every place, judged by what the upstream has of it.
func TestEncodingsByPosition(t *testing.T) {
	d := open(t, nil, nil)
	c := d.client(t, false)
	var doc strings.Builder
	doc.WriteString("# Encodings by position\n\nMade by `go test ./pipelockd -run Encodings -update`. A token is sent to an allowed host in each\nspelling and place; `blocked` means that the upstream saw nothing of the request, or\nnot the end of it where it was streamed. `–`: the spelling cannot stand there.\n\n| |")
	for _, p := range positions {
		doc.WriteString(" " + p.name + " |")
	}
	doc.WriteString(" WebSocket |\n|" + strings.Repeat("---|", len(positions)+2) + "\n")
	for _, e := range encodings(t) {
		fmt.Fprintf(&doc, "| %s |", e.name)
		for _, p := range positions {
			req, fits := p.send(t, d, e.text)
			verdict := "–"
			if fits {
				verdict = outcome(t, d, c, req, e.text)
			}
			if verdict == "passed" {
				t.Errorf("%s in %s passed", e.name, p.name)
			}
			doc.WriteString(" " + verdict + " |")
		}
		raw := frame(0x101, []byte("hello "+e.text+" there"), true)
		verdict := "blocked"
		if out, err := io.ReadAll(newFrameConn(nil, bufio.NewReader(bytes.NewReader(raw)), bare())); err == nil || len(out) == len(raw) {
			verdict = "passed"
			t.Errorf("%s in a WebSocket passed", e.name)
		}
		doc.WriteString(" " + verdict + " |\n")
	}
	if *update {
		if err := os.WriteFile(encodingsDoc, []byte(doc.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(encodingsDoc); err != nil || string(have) != doc.String() {
		t.Errorf("docs/encodings.md is not what was seen (go test ./pipelockd -run Encodings -update): %v", err)
	}
}

func outcome(t *testing.T, d *door, c *http.Client, req *http.Request, text string) string {
	t.Helper()
	resp, err := c.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	for _, s := range d.upstream.Seen() {
		if err == nil && resp.StatusCode == 200 || bytes.Contains(s.Body, []byte(text)) {
			return "passed"
		}
	}
	if err == nil && resp.Header.Get("X-Bottle-Deny") != "secret_found" {
		t.Errorf("%s: %s %s", text, resp.Status, resp.Header.Get("X-Bottle-Deny"))
	}
	return "blocked"
}
