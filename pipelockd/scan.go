package main

import (
	"bytes"
	"encoding/base64"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

// leak is a secret that was about to leave.
type leak struct {
	secretscan.Finding
	where string // url, method, header:<name>, trailer:<name>, body, websocket
}

// Error makes a leak the error that stops a body.
func (l *leak) Error() string { return l.sentence() }

func (l *leak) sentence() string {
	what := "What looks like a credential (" + l.Rule + ", " + l.Masked + ")"
	switch {
	case l.Rule == string(secretscan.Canary):
		what = "A planted value (canary " + l.Masked + "), which nobody may send anywhere,"
	case l.Rule == string(secretscan.KnownSecret):
		what = "A value that must not leave (" + l.Masked + "), or a good part of it,"
	}
	if l.Via != "" {
		what += ", encoded as " + l.Via + ","
	}
	return what + " stands in " + l.where + "."
}

func (l *leak) denied() policy.Decision {
	if l.Rule == secretscan.TooDeep {
		return policy.Denied(policy.ReasonUnscannable, "", "What stands in "+l.where+" is encoded in more layers, or decodes to more, than can be judged.")
	}
	return policy.Denied(policy.ReasonSecretFound, l.Rule, l.sentence())
}

// maskedText stands for what may not be shown, because it holds a secret.
const maskedText = "[masked]"

// masked returns s as [clip] does, or a mask if there is a secret in it.
func masked(s string) string {
	if len(s) < secretscan.Shingle { // too short for any
		return clip(s)
	}
	if _, ok := secretscan.Field.Find([]byte(s)); ok {
		return maskedText
	}
	return clip(s)
}

// clip cuts s to what a log line should hold, and spells out what a terminal
// could take for a command or show as something else.
func clip(s string) string {
	end := ""
	if len(s) > 512 {
		s, end = s[:512], "…"
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			quoted := strconv.QuoteToASCII(s)
			return quoted[1:len(quoted)-1] + end
		}
	}
	return s + end
}

// scanURL looks into a request's target, its host and its method.
func (x *exchange) scanURL(target string) *leak {
	buf := heads.Get().(*bytes.Buffer)
	defer heads.Put(buf)
	buf.Reset()
	for _, s := range []string{target, x.host, upperOf(x.host)} {
		if s != "" {
			buf.WriteString(s)
			buf.WriteByte('\n')
		}
	}
	if found := x.table.scanning.fields.Scan(buf.Bytes(), x.options(false, "url")); found != nil {
		return &leak{found.Finding, "url"}
	}
	return nil
}

// foldable is the length from which on a name, whose case HTTP or DNS changed,
// could be a token.
const foldable = 20

func upperOf(s string) string {
	if len(s) < foldable {
		return ""
	}
	return strings.ToUpper(s)
}

var heads = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// scanHeader looks into every field but the exempt ones. All are scanned in one
// pass, a line each.
func (x *exchange) scanHeader(h http.Header, exempt []string, kind string) *leak {
	if len(h) == 0 {
		return nil
	}
	buf := heads.Get().(*bytes.Buffer)
	defer heads.Put(buf)
	buf.Reset()
	for name, values := range h {
		if slices.Contains(exempt, name) {
			continue
		}
		if len(name) >= foldable { // its case was changed on the way
			writeLine(buf, strings.ToLower(name), "")
			writeLine(buf, strings.ToUpper(name), "")
		}
		for _, v := range values {
			writeLine(buf, name, v)
			for plain := range basic(v) {
				writeLine(buf, name, strings.ReplaceAll(plain, "\n", " "))
			}
		}
	}
	found := x.table.scanning.fields.Scan(buf.Bytes(), x.options(false, kind))
	if found == nil {
		return nil
	}
	f := found.Finding
	line := buf.Bytes()[bytes.LastIndexByte(buf.Bytes()[:f.Offset], '\n')+1:]
	name, _, _ := bytes.Cut(line, []byte(": "))
	where := kind + ":" + clip(string(name))
	if _, ok := x.table.scanning.fields.Find(name); ok {
		where = kind + " name"
	}
	return &leak{f, where}
}

func writeLine(buf *bytes.Buffer, name, value string) {
	buf.WriteString(name)
	buf.WriteString(": ")
	buf.WriteString(value)
	buf.WriteByte('\n')
}

// basic decodes Basic credentials, the one place where base64 is the rule,
// wherever they stand in a value and whichever base64 they are in.
func basic(value string) iter.Seq[string] {
	const scheme = "basic"
	return func(yield func(string) bool) {
		for rest := value; ; rest = rest[1:] {
			rest = rest[max(0, strings.IndexAny(rest, "bB")):]
			if len(rest) <= len(scheme) {
				return
			}
			if !strings.EqualFold(rest[:len(scheme)], scheme) || !blank(rest[len(scheme)]) {
				continue
			}
			text := strings.TrimLeft(rest[len(scheme):], " \t")
			if end := strings.IndexFunc(text, notBase64); end >= 0 {
				text = text[:end]
			}
			text = toStandard.Replace(text)
			if len(text)%4 == 1 {
				text = text[:len(text)-1]
			}
			plain, _ := base64.RawStdEncoding.DecodeString(text)
			if len(plain) > 0 && !yield(string(plain)) {
				return
			}
		}
	}
}

// toStandard turns base64url into base64.
var toStandard = strings.NewReplacer("-", "+", "_", "/")

func blank(c byte) bool { return c == ' ' || c == '\t' }

func notBase64(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("+/-_", c))
}

// scanRequest clears a request to leave, as far as that can be told before it
// is sent; the rest of a long body is watched on its way.
func (s *service) scanRequest(w http.ResponseWriter, x *exchange, r *http.Request) *policy.Decision {
	l := x.leak
	if l == nil {
		l = x.scanHeader(r.Header, x.exempt, "header")
	}
	if l == nil && len(r.Method) >= secretscan.Shingle {
		if found := x.table.scanning.fields.Scan([]byte(r.Method), x.options(false, "method")); found != nil {
			l = &leak{found.Finding, "method"}
		}
	}
	if l != nil {
		d := l.denied()
		return &d
	}
	if r.Body == nil || r.ContentLength == 0 && len(r.Trailer) == 0 {
		return judgeLFS(x, r)
	}
	// A writer without deadlines is not one of a network's.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(s.headTime))
	if denial := s.admitBody(x, r); denial != nil {
		return denial
	}
	if denial := judgeLFS(x, r); denial != nil {
		return denial
	}
	_ = rc.SetReadDeadline(time.Time{})
	return nil
}
