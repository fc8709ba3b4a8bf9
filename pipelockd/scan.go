package main

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

var scanner = secretscan.Default

// leak is a secret that was about to leave.
type leak struct {
	secretscan.Finding
	where string // url, method, header:<name>, trailer:<name>, body, websocket
}

// Error makes a leak the error that stops a body.
func (l *leak) Error() string { return l.sentence() }

func (l *leak) sentence() string {
	return "What looks like a credential (" + l.Rule + ", " + l.Masked + ") stands in " + l.where + "."
}

func (l *leak) denied() policy.Decision {
	return policy.Denied(policy.ReasonSecretFound, l.Rule, l.sentence())
}

// maskedText stands for what may not be shown, because it holds a secret.
const maskedText = "[masked]"

// masked returns s, clipped, or a mask if there is a secret in it.
func masked(s string) string {
	if _, ok := scanner.FindEscaped([]byte(s)); ok {
		return maskedText
	}
	return clip(s)
}

// clip cuts s to what a log line should hold.
func clip(s string) string {
	if len(s) > 512 {
		return s[:512] + "…"
	}
	return s
}

// scanURL looks into a request's host and target, as they are and with their
// percent-encoding taken off.
func scanURL(host, target string) *leak {
	for _, s := range []string{target, host, upperOf(host)} {
		if f, ok := scanner.FindEscaped([]byte(s)); ok {
			return &leak{f, "url"}
		}
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
func scanHeader(h http.Header, exempt []string, kind string) *leak {
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
			if plain, ok := basic(v); ok {
				writeLine(buf, name, plain)
			}
		}
	}
	f, ok := scanner.Find(buf.Bytes())
	if !ok {
		return nil
	}
	line := buf.Bytes()[bytes.LastIndexByte(buf.Bytes()[:f.Offset], '\n')+1:]
	name, _, _ := bytes.Cut(line, []byte(": "))
	where := kind + ":" + string(name)
	if _, ok := scanner.Find(name); ok {
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

// basic decodes a Basic credential, the one place where base64 is the rule.
func basic(value string) (string, bool) {
	if len(value) < 6 || !strings.EqualFold(value[:6], "Basic ") {
		return "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value[6:]))
	return string(plain), err == nil
}

// scanRequest clears a request to leave, as far as that can be told before it
// is sent; the rest of a long body is watched on its way.
func (s *service) scanRequest(x *exchange, r *http.Request) *policy.Decision {
	l := x.leak
	if l == nil {
		l = scanHeader(r.Header, x.exempt, "header")
	}
	if f, ok := scanner.Find([]byte(r.Method)); l == nil && ok {
		l = &leak{f, "method"}
	}
	if l != nil {
		d := l.denied()
		return &d
	}
	return s.admitBody(x, r)
}
