package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// awsKey looks like one, and is in no file in one piece.
var awsKey = "AKIA" + strings.Join([]string{"Z7Q2", "M5XK", "3TVB", "4WLN"}, "")

// TestRequestsWithASecretAreRefused tries the places of a request that a secret
// fits in, on a route with a credential and on one without.
func TestRequestsWithASecretAreRefused(t *testing.T) {
	w, b := inBottle(t)
	post := func(site, target, contentType, body string, more ...string) attempt {
		a := w.request(site, "POST", target, append(more, "Content-Type: "+contentType, fmt.Sprintf("Content-Length: %d", len(body)))...)
		a.Send = append(a.Send, body...)
		return a
	}
	chunked := w.request("open", "POST", "/v1/upload", "Transfer-Encoding: chunked")
	chunked.Send = append(chunked.Send, fmt.Sprintf("8\r\nkey=%s\r\n10\r\n%s\r\n0\r\n\r\n", awsKey[:4], awsKey[4:])...)
	var list []refusal
	add := func(what string, a attempt) { list = append(list, refusal{what, a, policy.ReasonSecretFound}) }
	for _, site := range []string{"api", "open"} {
		add(site+": body, JSON", post(site, "/v1/upload", "application/json", `{"note": "`+awsKey+`"}`))
		add(site+": body, form", post(site, "/v1/upload", "application/x-www-form-urlencoded", "a=b&c="+awsKey))
		add(site+": query", w.request(site, "GET", "/v1/hello?q="+awsKey))
		add(site+": path", w.request(site, "GET", "/v1/"+awsKey))
		add(site+": header", w.request(site, "GET", "/v1/hello", "X-Note: "+awsKey))
	}
	add("body, split over chunks", chunked)

	pipelockBefore := len(b.auditOf(t, "pipelockd"))
	refused(t, w, b, list)
	denials := 0
	for _, l := range b.auditOf(t, "pipelockd")[pipelockBefore:] {
		if l.Reason == policy.ReasonSecretFound && l.Decision == policy.Deny {
			denials++
		}
		if strings.Contains(fmt.Sprintf("%+v", l), awsKey) {
			t.Errorf("the audit log repeats the secret: %+v", l)
		}
	}
	if denials != len(list) {
		t.Errorf("pipelockd recorded %d denials, want %d", denials, len(list))
	}
}

// TestSecretLateInALargeBodyNeverArrives puts the secret behind more than any
// window holds: the upstream may see the beginning of the request, never its
// end, and never the secret.
func TestSecretLateInALargeBodyNeverArrives(t *testing.T) {
	w, b := inBottle(t)
	before := w.upstream.Mark()
	out := b.shell(t, `head -c 3000000 /dev/zero | tr '\0' 'a' > /tmp/late; printf ' %s ' '`+awsKey+`' >> /tmp/late; head -c 100000 /dev/zero | tr '\0' 'b' >> /tmp/late
		curl -sS -o /dev/null -w '%{http_code}' --data-binary @/tmp/late `+w.url("open", "/v1/upload")+` || true; rm /tmp/late`)
	if strings.Contains(out, "200") {
		t.Errorf("the upload was answered with %s", out)
	}
	for _, r := range seenSince(t, w.upstream, before) {
		if r.Complete || r.BodyBytes > 3000000+4 {
			t.Errorf("the upstream saw %d bytes, complete: %v", r.BodyBytes, r.Complete)
		}
	}
	b.awaitLine(t, "pipelockd", "the late secret", func(l audit.Line) bool {
		return l.Reason == policy.ReasonSecretFound && l.Path == "/v1/upload" && l.BytesIn > 1<<20
	})
}

// TestOrdinaryBodiesPass: what only looks like a secret from afar is no reason.
func TestOrdinaryBodiesPass(t *testing.T) {
	w, b := inBottle(t)
	for what, body := range map[string]string{
		"hashes": `{"sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "id": "8b1d3f0e-3c1b-4c5e-9d7a-2f1e0d9c8b7a"}`,
		"prose":  `An access key id begins with AKIA and has twenty characters.`,
	} {
		before := w.upstream.Mark()
		b.shell(t, "curl -sS --fail -o /dev/null --data-binary '"+body+"' "+w.url("api", "/v1/upload"))
		if r := sawOne(t, w.upstream, before); string(r.Body) != body {
			t.Errorf("%s arrived as %q", what, r.Body)
		}
	}
}

// TestGitPushOverHTTPSIsRefused asks for both requests of a push, by hand and by
// git itself, on a route that allows everything else.
func TestGitPushOverHTTPSIsRefused(t *testing.T) {
	w, b := inBottle(t)
	pack := w.request("open", "POST", "/app.git/git-receive-pack", "Content-Type: application/x-git-receive-pack-request", "Content-Length: 4")
	pack.Send = append(pack.Send, "0000"...)
	var list []refusal
	for _, target := range []string{
		"/app.git/info/refs?service=git-receive-pack",
		"/app.git/info/refs?service=git%2Dreceive%2Dpack",
		"/app.git/info/refs?x=y&service=Git-Receive-Pack",
	} {
		list = append(list, refusal{target, w.request("open", "GET", target), policy.ReasonGitPush})
	}
	list = append(list, refusal{"POST git-receive-pack", pack, policy.ReasonGitPush},
		refusal{"on the credentialed route", w.request("api", "GET", "/v1/app.git/info/refs?service=git-receive-pack"), policy.ReasonGitPush})
	refused(t, w, b, list)

	before := w.upstream.Mark()
	r := b.exec(t, "agent", `set -e; cd "$(mktemp -d)"; git init -q; git config user.email a@b.example; git config user.name a
		echo x > x; git add x; git commit -qm x; git push `+w.url("open", "/pushed.git")+` HEAD:refs/heads/x`)
	if r.Status == 0 || !strings.Contains(r.Stderr, fmt.Sprint(http.StatusForbidden)) {
		t.Errorf("git push ended with %s", r)
	}
	sawNothing(t, w.upstream, before)
	b.awaitLine(t, "egressd", "git's own push", func(l audit.Line) bool {
		return l.Reason == policy.ReasonGitPush && l.Host == w.site("open") && l.Path == "/pushed.git/info/refs" && l.RequestID != "" && l.Decision == policy.Deny
	})
}

// TestGitFetchPasses: reading is not pushing.
func TestGitFetchPasses(t *testing.T) {
	w, b := inBottle(t)
	before := w.upstream.Mark()
	b.exec(t, "agent", "git ls-remote "+w.url("open", "/app.git")) // fails: the upstream is no git server
	seen := seenSince(t, w.upstream, before)
	if len(seen) == 0 || seen[0].URI != "/app.git/info/refs?service=git-upload-pack" {
		t.Errorf("the upstream saw %+v", seen)
	}
}
