package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/policy"
)

// errSlow is why a conversation with an upstream was ended.
var errSlow = errors.New("the upstream took too long")

// knock sees whether an https upstream takes connections at all: git itself
// would wait for minutes. For ssh, sshlink keeps the time.
func (m *Mirror) knock(ctx context.Context) error {
	u := m.link.Upstream
	if u.Scheme != gitremote.HTTPS {
		return nil
	}
	d := net.Dialer{Timeout: sshlink.ConnectTimeout}
	conn, err := d.DialContext(ctx, "tcp", u.Address())
	if err != nil {
		return &sshlink.Fault{Reason: policy.ReasonUpstreamUnreachable, Detail: fmt.Sprintf("The upstream %s cannot be reached: %v.", u.Address(), err)}
	}
	return conn.Close()
}

// diagnose finds the cause of a failed conversation: what a helper left in its
// file, else what git said.
func (m *Mirror) diagnose(ctx context.Context, file string, err *ExitError) error {
	var f sshlink.Fault
	if data, rerr := os.ReadFile(file); rerr == nil && json.Unmarshal(data, &f) == nil && f.Reason != "" {
		return &f
	}
	u, said := m.link.Upstream, err.Stderr
	is := func(texts ...string) bool {
		for _, t := range texts {
			if strings.Contains(said, t) {
				return true
			}
		}
		return false
	}
	reason, detail := policy.ReasonUpstreamUnreachable, ""
	switch {
	case ctx.Err() != nil:
		detail = fmt.Sprintf("The upstream %s did not answer in time.", u.Address())
	case is("certificate verification failed", "SSL certificate problem", "unable to get local issuer", "certificate subject name", "SSL: no alternative certificate"):
		reason = policy.ReasonUpstreamUntrusted
		detail = fmt.Sprintf("The certificate of %s does not verify; if the server's roots are private, name them by pipelock.extra_ca in the manifest (upstream_ca in gitgated.yaml).", u.Address())
	case is("Authentication failed", "could not read Username", "could not read Password", "error: 401", "error: 403", "HTTP 403", "HTTP 401"):
		reason = policy.ReasonCredential
		detail = fmt.Sprintf("The upstream %s does not take the bottle's token for this repository; see that it is not expired and has the right to read and write it.", u.Address())
	case is("not found", "does not exist", "does not appear to be a git repository", "Could not read from remote repository"):
		detail = fmt.Sprintf("The upstream %s has no repository %s that the bottle's credential may see.", u.Address(), u.Path)
	default:
		detail = fmt.Sprintf("The conversation with %s failed: %s", u.Address(), lastLine(said))
	}
	return &sshlink.Fault{Reason: reason, Detail: detail}
}

// lastLine is the last thing that git said, or rather its first error, which
// tells more than the one that ends it.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	for line := range strings.Lines(s) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "error: "); ok {
			return text
		}
	}
	return s[strings.LastIndexByte(s, '\n')+1:]
}
