package verify

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// logFile is the audit log of one sidecar, from where it stood before the first
// attempt.
type logFile struct {
	path string
	from int64
	// since leaves out lines of an earlier time, as RFC 3339 writes it.
	since string
}

// places of the audit logs below the bottle's directory, by component.
var places = map[string]string{
	"egressd": "audit/egress/egressd.jsonl", "pipelockd": "audit/pipelock/pipelockd.jsonl",
	"gitgated": "audit/git-gate/gitgated.jsonl", "superviserd": "audit/supervise/superviserd.jsonl",
	"gateway": "audit/gateway/gateway.jsonl",
}

func (s *site) openLogs() {
	s.logs = map[string]*logFile{}
	for component, place := range places {
		l := &logFile{path: filepath.Join(s.Dir, place)}
		if fi, err := os.Stat(l.path); err == nil {
			l.from = fi.Size()
		}
		s.logs[component] = l
	}
	if s.machine != nil {
		// The gateway tells a flow that opens no connection once in ten seconds, so
		// it may have told one of ours when the last verification made it.
		since := time.Now().Add(-wire.GatewayTellAgain).UTC().Format(time.RFC3339)
		s.logs["gateway"] = &logFile{path: filepath.Join(s.Dir, places["gateway"]), since: since}
	} else {
		delete(s.logs, "gateway")
	}
}

// read returns the whole lines since the beginning. A log that was set aside
// meanwhile is read from its first line: what is missing then is an error of the
// attempts whose lines it held, and never makes them held.
func (l *logFile) read() []audit.Line {
	lines, _, err := audit.ReadFrom(l.path, l.from)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(lines, func(x audit.Line) bool { return x.Time < l.since })
}

// lineTime bounds how long a line may take to appear.
const lineTime = 2 * time.Second

// logsFor reads the logs when every web attempt has its line, or when it is too
// late for that.
func (s *site) logsFor(ctx context.Context, plans []*plan) map[string][]audit.Line {
	settled(ctx)
	for deadline := time.Now().Add(lineTime); ; time.Sleep(20 * time.Millisecond) {
		logs := map[string][]audit.Line{}
		for component, l := range s.logs {
			logs[component] = l.read()
		}
		e := evidence{site: s, logs: logs, link: linkOf(plans)}
		all := !slices.ContainsFunc(plans, func(p *plan) bool {
			result, _ := e.judge(p)
			return result == Error && p.died == nil && p.report != nil && p.report.Unmade == ""
		})
		if all || ctx.Err() != nil || time.Now().After(deadline) {
			return logs
		}
	}
}

// window is the part of a log between the mark of an attempt and the next mark;
// nil when the mark is not there.
func window(lines []audit.Line, token string) []audit.Line {
	begin := slices.IndexFunc(lines, func(l audit.Line) bool { return strings.HasPrefix(l.Host, token+markSuffix) })
	if begin < 0 {
		return nil
	}
	rest := lines[begin+1:]
	if end := slices.IndexFunc(rest, func(l audit.Line) bool { return strings.Contains(l.Host, markSuffix) }); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// markSuffix ends the names that are asked for to mark the beginning of an attempt.
const markSuffix = ".mark.bottle.invalid"

// carries reports whether a line names a token.
func carries(l audit.Line, token string) bool {
	return strings.Contains(l.Host, token) || strings.Contains(l.Path, token) || strings.Contains(l.Detail, token)
}

// allowed is the first line by which something with the token was let through.
func allowed(lines []audit.Line, token string) *audit.Line {
	return first(lines, func(l audit.Line) bool { return l.Decision == policy.Allow && carries(l, token) })
}

func first(lines []audit.Line, fits func(audit.Line) bool) *audit.Line {
	if i := slices.IndexFunc(lines, fits); i >= 0 {
		return &lines[i]
	}
	return nil
}
