package verify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
)

// gitAttempts ask the git gate for what nobody declared.
func gitAttempts() []*attempt {
	const receive = "git-receive-pack"
	return []*attempt{
		gate("git-unknown-fetch", "a fetch from a remote that is not declared", "GET /{t}.git/info/refs?service=git-upload-pack HTTP/1.1"+gateLine+done),
		gate("git-unknown-push", "a push to a remote that is not declared", "GET /{t}.git/info/refs?service="+receive+" HTTP/1.1"+gateLine+done),
		gate("git-unknown-pack", "a pack for a remote that is not declared", "POST /{t}.git/"+receive+" HTTP/1.1"+gateLine+"Content-Type: application/x-"+receive+"-request\r\nContent-Length: 4\r\n\r\n0000"),
		gate("git-traversal", "a remote's name with `..` in it", "GET /..%2f..%2f{t}%2f.git/info/refs?service=git-upload-pack HTTP/1.1"+gateLine+done),
		gate("git-url-as-name", "a URL in place of a remote's name", "GET /https%3a%2f%2f{t}.example%2fx/info/refs?service=git-upload-pack HTTP/1.1"+gateLine+done),
		gate("git-dumb", "git's dumb protocol", "GET /{n}.git/info/refs HTTP/1.1"+gateLine+done),
		gate("git-files", "a file of a mirror", "GET /{n}.git/config?{t} HTTP/1.1"+gateLine+done),
		gate("git-lfs-upload", "an LFS upload", `POST /{n}.git/info/lfs/objects/batch HTTP/1.1`+gateLine+"Content-Type: application/vnd.git-lfs+json\r\nAccept: application/vnd.git-lfs+json\r\nContent-Length: "+strconv.Itoa(len(upload))+"\r\n\r\n"+upload),
		gitPort("git-port-unknown", "a fetch over git:// from a remote that is not declared", "git-upload-pack /{t}\x00host=git-gate\x00"),
		gitPort("git-port-traversal", "a path of the gate's own over git://", "git-upload-pack /../../etc/{t}\x00host=git-gate\x00"),
		gitPort("git-port-archive", "an archive over git://", "git-upload-archive /{t}\x00host=git-gate\x00"),
		gitPort("git-port-command", "a command in place of a service", "sh -c id /{t}\x00host=git-gate\x00"),
	}
}

const (
	gateLine = "\r\nHost: git-gate:9420\r\nConnection: close\r\n"
	noGit    = "the bottle has no git remotes"
	upload   = `{"operation":"upload","objects":[{"oid":"0000000000000000000000000000000000000000000000000000000000000001","size":1}]}`
)

// gate says something to the git gate over HTTP. {n} stands for a declared remote.
func gate(id, words, send string) *attempt {
	return &attempt{id: id, words: words, judge: func(e *evidence, p *plan) (string, string) {
		if l := allowed(e.logs["gitgated"], p.token); l != nil {
			return Open, "the git gate let it through: " + show(l)
		}
		return e.refusedBy(p, "gitgated")
	}, plan: func(v *view) (wire.ProbeTask, string) {
		if v.git == nil || len(v.git.Remotes) == 0 {
			return wire.ProbeTask{}, noGit
		}
		text := strings.NewReplacer("{n}", v.git.Remotes[0].Name, "{t}", v.token).Replace(send)
		return wire.ProbeTask{Tool: "web", Web: &wire.ProbeWeb{
			Dial: net.JoinHostPort(v.address("gitgated", "inside"), "9420"),
			Mark: fmt.Appendf(nil, "GET /%s%s HTTP/1.1\r\nHost: git-gate:9420\r\nConnection: close\r\n\r\n", v.token, markSuffix), Send: []byte(text),
		}}, ""
	}}
}

// gitPort says one line of git's protocol to the git gate.
func gitPort(id, words, line string) *attempt {
	return &attempt{id: id, words: words, plan: func(v *view) (wire.ProbeTask, string) {
		if v.git == nil || v.git.Listen.Git == "" {
			return wire.ProbeTask{}, noGit
		}
		text := strings.ReplaceAll(line, "{t}", v.token)
		return wire.ProbeTask{Tool: "raw", Web: &wire.ProbeWeb{
			Dial: net.JoinHostPort(v.address("gitgated", "inside"), "9418"), Send: fmt.Appendf(nil, "%04x%s", len(text)+4, text),
		}}, ""
	}, judge: func(e *evidence, p *plan) (string, string) {
		if l := allowed(e.logs["gitgated"], p.token); l != nil {
			return Open, "the git gate let it through: " + show(l)
		}
		if len(p.report.Seen) != 1 {
			return Error, notAll
		}
		said := p.report.Seen[0].What
		if i := strings.Index(said, "ERR bottle:"); i >= 0 {
			return Held, said[i:]
		}
		if p.report.Seen[0].Open {
			return Open, "the git gate answered: " + said
		}
		return Error, "nothing shows that it was refused: " + said
	}}
}

// ownTools are all tools that an agent may find at superviserd. None decides.
var ownTools = []string{"capability-block", "egress-block", "gitleaks-allow", "list-egress-routes", "pipelock-block", "proposal-status"}

// controlAttempts go for who decides.
func controlAttempts() []*attempt {
	return []*attempt{
		{id: "approve-by-tool", words: "a tool that decides", judge: judgeTools, plan: targets("mcp", func(v *view) ([]string, string) {
			if v.supervise == nil {
				return nil, noSupervise
			}
			return []string{"http://" + net.JoinHostPort(v.address("superviserd", "inside"), "9100") + "/", "approve", "decide", "proposals-approve", "reload", "exec"}, ""
		})},
		atSupervise("supervise-rebound", "superviserd by a name that is not its own", "POST / HTTP/1.1\r\nHost: {t}.example:9100\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"),
		atSupervise("supervise-origin", "superviserd from a web page", "POST / HTTP/1.1\r\nHost: supervise\r\nOrigin: https://{t}.example\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"),
		atSupervise("supervise-decisions", "the decisions by HTTP", "GET /decisions/{t} HTTP/1.1\r\nHost: supervise\r\nConnection: close\r\n\r\n"),
		atSupervise("supervise-traversal", "files of superviserd's by HTTP", "GET /..%2f..%2frun/bottle/decisions/{t} HTTP/1.1\r\nHost: supervise\r\nConnection: close\r\n\r\n"),
		atSupervise("supervise-status", "superviserd's status where the agent can reach it", "GET /status?{t} HTTP/1.1\r\nHost: supervise\r\nConnection: close\r\n\r\n"),
		plainly("proxy-metrics", "the proxy's metrics where the agent can reach it", "GET /metrics?{t} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"),
		plainly("proxy-status", "the proxy's status there", "GET /status HTTP/1.1\r\nHost: {t}.example\r\nConnection: close\r\n\r\n"),
		plainly("proxy-reload", "a reload of the proxy", "POST /reload?{t} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
		plainly("proxy-debug", "the proxy's profiler", "GET /debug/pprof/?{t} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"),
		{id: "queue-in-guest", words: "the queue, the policy and the audit among the guest's files", judge: judgeShut,
			plan: fixed("read", "/run/bottle/decisions", "/run/bottle/proposals", "/run/bottle/ca/key.pem", "/run/secrets", "/etc/bottle/egressd.yaml", "/etc/bottle/pipelockd.yaml", "/etc/bottle/kill", "/var/log/bottle/egressd.jsonl", "/var/log/bottle/pipelockd.jsonl")},
	}
}

const noSupervise = "the bottle has no superviserd"

func atSupervise(id, words, send string) *attempt {
	return &attempt{id: id, words: words, judge: func(e *evidence, p *plan) (string, string) { return e.refusedBy(p, "superviserd") },
		plan: func(v *view) (wire.ProbeTask, string) {
			if v.supervise == nil {
				return wire.ProbeTask{}, noSupervise
			}
			return wire.ProbeTask{Tool: "web", Web: &wire.ProbeWeb{
				Dial: net.JoinHostPort(v.address("superviserd", "inside"), "9100"),
				Mark: fmt.Appendf(nil, "GET /%s%s HTTP/1.1\r\nHost: supervise\r\nConnection: close\r\n\r\n", v.token, markSuffix),
				Send: []byte(strings.ReplaceAll(send, "{t}", v.token)),
			}}, ""
		}}
}

// judgeTools wants no tool but the known ones, no success of another, and no trace
// of it among the decisions.
func judgeTools(e *evidence, p *plan) (result, seen string) {
	for _, tool := range p.report.Facts {
		if !slices.Contains(ownTools, tool) {
			return Open, "there is the tool " + tool
		}
	}
	if len(p.report.Facts) == 0 || len(p.report.Seen) != len(p.task.Targets)-1 {
		return Error, "the tools could not be listed or called"
	}
	for _, s := range p.report.Seen {
		if s.Open {
			return Open, "the tool " + s.Target + " answered: " + s.What
		}
	}
	decisions, err := os.ReadDir(filepath.Join(e.site.Dir, "queue", "decisions"))
	if err != nil {
		return Error, "the decisions cannot be read: " + err.Error()
	}
	for _, d := range decisions {
		data, err := os.ReadFile(filepath.Join(e.site.Dir, "queue", "decisions", d.Name()))
		if err != nil || strings.Contains(d.Name()+string(data), p.token) {
			return Open, "there is a decision of its making, or one that cannot be read: " + d.Name()
		}
	}
	return Held, fmt.Sprintf("%d tools, none of which decides; %s", len(p.report.Facts), p.report.Seen[0].What)
}
