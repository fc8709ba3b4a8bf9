package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/test/trial"
	"github.com/bottlesuite/bottle/test/upstream"
)

// play makes all attempts.
func (d *demo) play(ctx context.Context) error {
	api, other := "https://"+d.site("api"), "https://"+d.site("other")
	key := "AKIA" + strings.Join([]string{"Z7Q2", "M5XK", "3TVB", "4WLN"}, "") // in pieces: this file holds no key
	for _, step := range []func(context.Context) error{
		d.fetch,
		d.searchAgent,
		d.refused("2a", "another host: GET "+d.site("other"), policy.ReasonHostNotAllowed, other+"/v1/hello"),
		d.refused("2b", "another path: GET "+d.site("api")+"/admin", policy.ReasonPathNotAllowed, api+"/admin"),
		d.refused("2c", "another method: DELETE /v1/hello", policy.ReasonMethodNotAllowed, "-X", "DELETE", api+"/v1/hello"),
		d.past,
		d.refused("2e", "a key of the agent's own: GET /v1/hello", policy.ReasonAgentCredential, "-H", "Authorization: Bearer the-agents-own", api+"/v1/hello"),
		d.refused("3", "POST /v1/upload with an AWS-shaped key", policy.ReasonSecretFound, "--json", `{"note":"`+key+`"}`, api+"/v1/upload"),
		d.install,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return d.end()
}

// agent runs a script in the bottle, as the agent.
func (d *demo) agent(ctx context.Context, script string) (trial.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	return d.bottle.Exec(ctx, "agent", script)
}

// seen waits until the upstream has seen what it will, and puts it into words.
func (d *demo) seen(ctx context.Context, m upstream.Mark) ([]upstream.Request, string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	requests, _ := d.upstream.Settle(ctx, m) // one that stays open is seen as well
	if len(requests) == 0 {
		return nil, "nothing"
	}
	return requests, fmt.Sprintf("%s %s", requests[0].Method, requests[0].URI)
}

// fetch is the first attempt: an allowed URL, and the placeholder that the agent
// has, in place of which the real token is sent.
func (d *demo) fetch(ctx context.Context) error {
	before, audited := d.upstream.Mark(), d.audited()
	r, err := d.agent(ctx, `curl -sS --fail -H "Authorization: Bearer $DEMO_TOKEN" https://`+d.site("api")+"/v1/hello")
	if err != nil {
		return err
	}
	requests, saw := d.seen(ctx, before)
	out := row{number: "1a", tried: "GET " + d.site("api") + "/v1/hello", happened: "200, placeholder replaced", saw: saw + " with the real token"}
	var h upstream.Hello
	switch err := json.Unmarshal([]byte(r.Stdout), &h); {
	case err != nil || r.Status != 0:
		out.happened, out.wrong = fmt.Sprintf("curl ended with %d", r.Status), strings.TrimSpace(r.Stdout+r.Stderr)
	case len(requests) != 1 || requests[0].Header.Get("Authorization") != "Bearer "+d.token:
		out.saw, out.wrong = saw, "the upstream did not see the real token, once"
	case requests[0].Contains("placeholder"):
		out.wrong = "the placeholder reached the upstream"
	case strings.Contains(r.Stdout, d.token):
		out.wrong = "the agent got to see the token"
	}
	out.lines = d.lines(audited, func(l audit.Line) bool { return l.Event == "request" && l.Path == "/v1/hello" })
	return d.show(out, policy.Allow, "")
}

// searchAgent looks for the token all over the agent. What it reads is searched
// out here, so that the search does not bring the token in.
func (d *demo) searchAgent(ctx context.Context) error {
	r, err := d.bottle.Exec(ctx, "root", `env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null
		tar -cf - --exclude=./proc --exclude=./sys --exclude=./usr --exclude=./dev -C / . 2>/dev/null; true`)
	if err != nil {
		return err
	}
	out := row{number: "1b", tried: "look for the token, as root in the agent", saw: "-",
		happened: fmt.Sprintf("not in env, processes, %d MiB of files", len(r.Stdout)>>20)}
	if strings.Contains(r.Stdout, d.token) {
		out.happened, out.wrong = "found", "the agent holds the token"
	} else if len(r.Stdout) < 1<<20 {
		out.wrong = "there was too little to look at: " + r.Stderr
	}
	d.print(out)
	return nil
}

// refused is an attempt with curl that must be denied for a reason, with nothing
// of it at the upstream.
func (d *demo) refused(number, tried string, reason policy.Reason, curl ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		before, audited := d.upstream.Mark(), d.audited()
		for i, arg := range curl {
			curl[i] = "'" + arg + "'"
		}
		r, err := d.agent(ctx, `curl -sS -o /tmp/body -D /tmp/head `+strings.Join(curl, " ")+` 2>/dev/null; grep -i ^x-bottle-deny /tmp/head`)
		if err != nil {
			return err
		}
		_, denied, _ := strings.Cut(strings.TrimSpace(r.Stdout), ": ")
		requests, saw := d.seen(ctx, before)
		out := row{number: number, tried: tried, happened: fmt.Sprintf("%d %s", http.StatusForbidden, denied), saw: saw}
		switch {
		case policy.Reason(denied) != reason:
			out.happened, out.wrong = "not refused so: "+denied, "want a refusal for "+string(reason)
		case len(requests) > 0:
			out.wrong = "it reached the upstream"
		}
		out.lines = d.lines(audited, func(l audit.Line) bool { return l.Decision == policy.Deny && l.Reason == reason })
		return d.show(out, policy.Deny, reason)
	}
}

// past tries the way around the proxy, by address.
func (d *demo) past(ctx context.Context) error {
	before := d.upstream.Mark()
	r, err := d.agent(ctx, "curl -sSk -m 5 --noproxy '*' https://"+address+":"+d.port+"/v1/hello")
	if err != nil {
		return err
	}
	out := row{number: "2d", tried: "past the proxy: curl --noproxy '*'", happened: fmt.Sprintf("no route (curl ended with %d)", r.Status), saw: "nothing",
		note: "no line: what has no route asks nobody"}
	if requests, saw := d.seen(ctx, before); r.Status == 0 || len(requests) > 0 || d.upstream.ConnectionsSince(before) > 0 {
		out.happened, out.saw, out.wrong = "it went through", saw, "there is a way around the proxy"
	}
	d.print(out)
	return nil
}

// packageName is small, unscoped, and depends on nothing.
const packageName = "is-number"

// install uses the agent's package client as anybody would.
func (d *demo) install(ctx context.Context) error {
	tried := "npm install " + packageName
	if d.registry == nil {
		d.skip("4", tried, "no registry, see above")
		return nil
	}
	audited := d.audited()
	r, err := d.agent(ctx, `mkdir -p ~/workspace/app && cd ~/workspace/app && npm install --no-audit --no-fund --no-update-notifier `+packageName+` >/tmp/npm 2>&1 || { cat /tmp/npm; exit 1; }
		node -p 'require("`+packageName+`/package.json").version + " " + require("`+packageName+`")(42)'`)
	if err != nil {
		return err
	}
	version, works, _ := strings.Cut(strings.TrimSpace(r.Stdout), " ")
	fetched := d.lines(audited, func(l audit.Line) bool {
		return l.Component == "egressd" && l.Event == "request" && l.Host == d.registry.authority
	})
	out := row{number: "4", tried: tried, saw: "(not ours to ask)",
		happened: fmt.Sprintf("version %s, in %d requests", version, len(fetched)), lines: fetched[max(0, len(fetched)-1):]}
	if r.Status != 0 || works != "true" {
		out.happened, out.wrong = "npm failed", strings.TrimSpace(r.Stdout+r.Stderr)
	}
	return d.show(out, policy.Allow, "")
}

// marks are the lengths of the audit logs.
type marks map[string]int

var components = []string{"egressd", "pipelockd"}

func (d *demo) audited() marks {
	m := marks{}
	for _, c := range components {
		lines, _ := d.bottle.Audit(c) // a log that cannot be read has no lines later, and that is wrong
		m[c] = len(lines)
	}
	return m
}

// lines waits for audit lines since m that fit, at most a few seconds: the line
// of an allowed request is written when the exchange has ended.
func (d *demo) lines(m marks, fits func(audit.Line) bool) []audit.Line {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var found []audit.Line
		for _, c := range components {
			all, _ := d.bottle.Audit(c)
			for _, l := range all[min(m[c], len(all)):] {
				if fits(l) {
					found = append(found, l)
				}
			}
		}
		if len(found) > 0 || time.Now().After(deadline) {
			return found
		}
	}
}

// show prints a row, which must have an audit line of a decision.
func (d *demo) show(r row, decision policy.Verdict, reason policy.Reason) error {
	ok := false
	for _, l := range r.lines {
		ok = ok || l.Decision == decision && l.Reason == reason
	}
	if !ok && r.wrong == "" {
		r.wrong = "the audit log has no line of it"
	}
	d.print(r)
	return nil
}
