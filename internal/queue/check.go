package queue

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Bounds of the parts of a proposal.
const (
	maxJustification = 2000
	maxMatches       = 32
	maxValue         = 2048
)

// Check judges what a proposal asks for. An error is a sentence for whoever
// wrote the proposal.
func Check(p wire.Proposal) error {
	switch {
	case p.Version != wire.Version:
		return fmt.Errorf("version %d of a proposal is not known here", p.Version)
	case strings.TrimSpace(p.Justification) == "":
		return fmt.Errorf("justification is empty; say in a sentence or two what you need this for")
	case len(p.Justification) > maxJustification:
		return fmt.Errorf("justification is longer than %d bytes; say it shorter", maxJustification)
	case Clean(p.Justification) != p.Justification:
		return fmt.Errorf("justification holds control or invisible characters")
	}
	given := map[string]bool{wire.ToolEgress: p.Route != nil, wire.ToolPipelock: p.Host != "" || p.FailedURL != "", wire.ToolCapability: p.Dockerfile != "", wire.ToolGitleaks: p.Finding != nil}
	for tool, has := range given {
		if has && tool != p.Tool {
			return fmt.Errorf("%s does not ask for what %s does", p.Tool, tool)
		}
	}
	switch p.Tool {
	case wire.ToolEgress:
		return checkRoute(p.Route)
	case wire.ToolPipelock:
		return checkHost(p.Host, p.FailedURL)
	case wire.ToolCapability:
		return CheckDockerfile(p.Dockerfile)
	case wire.ToolGitleaks:
		return checkFinding(p.Finding)
	}
	return fmt.Errorf("there is no tool %q", p.Tool)
}

// checkRoute takes routes that a manifest could hold, less what only the
// operator decides: limits, expiry, and whether responses are scrubbed.
func checkRoute(r *wire.Route) error {
	if r == nil {
		return fmt.Errorf("egress-block asks for nothing; name a host")
	}
	if r.Limits != nil || r.BodyPlaceholders != nil || !r.Expires.IsZero() || r.Auth != nil && r.Auth.Scrub != nil {
		return fmt.Errorf("limits, expires, scrub and body_placeholders are the operator's to set")
	}
	if len(r.Matches) > maxMatches {
		return fmt.Errorf("there are more than %d matches; ask for less", maxMatches)
	}
	if field, err := route.Validate(*r); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	for i, m := range r.Matches {
		at := "matches[" + strconv.Itoa(i) + "]"
		var values []string
		if m.Path != nil {
			values = append(values, m.Path.Exact, m.Path.Prefix, m.Path.Regex)
		}
		values = append(values, m.Methods...)
		for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
			values = append(values, name, m.Headers[name])
		}
		for _, v := range values {
			if len(v) > maxValue || Clean(v) != v || strings.ContainsAny(v, "\n\t") {
				return fmt.Errorf("%s: a value is longer than %d bytes, or holds control or invisible characters", at, maxValue)
			}
		}
	}
	return nil
}

func checkHost(host, failed string) error {
	if _, _, _, err := route.SplitPattern(host); err != nil {
		return err
	}
	if failed == "" {
		return nil
	}
	if len(failed) > maxValue || Clean(failed) != failed || strings.ContainsAny(failed, "\n\t") {
		return fmt.Errorf("failed_url is longer than %d bytes, or holds control or invisible characters", maxValue)
	}
	of, err := HostOf(failed)
	if err != nil {
		return err
	}
	if of != host {
		return fmt.Errorf("failed_url leads to %s and not to %s", of, host)
	}
	return nil
}

var (
	remoteShape = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	objectShape = regexp.MustCompile(`^[0-9a-f]{40}$`)
	ruleShape   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,127}$`)
)

// checkFinding takes one object and one rule of one remote; there is no way to
// name more.
func checkFinding(f *wire.GitFinding) error {
	switch {
	case f == nil:
		return fmt.Errorf("gitleaks-allow asks for nothing; copy the arguments that the git gate printed")
	case !remoteShape.MatchString(f.Remote):
		return fmt.Errorf("remote is not the name of a remote")
	case !objectShape.MatchString(f.Object):
		return fmt.Errorf("object is not the full id of an object, 40 hexadecimal digits")
	case !ruleShape.MatchString(f.Rule):
		return fmt.Errorf("rule is not the id of a rule, such as generic-api-key")
	case f.Commit != "" && !objectShape.MatchString(f.Commit):
		return fmt.Errorf("commit is not the full id of a commit")
	case len(f.Path) > maxValue || Clean(f.Path) != f.Path || strings.ContainsAny(f.Path, "\n\t"):
		return fmt.Errorf("path is longer than %d bytes, or holds control or invisible characters; leave it out", maxValue)
	}
	return nil
}

// HostOf is the host pattern that takes a URL, with its port unless 443.
func HostOf(rawURL string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return "", fmt.Errorf("failed_url is not a plain http or https URL")
	}
	port := route.DefaultPort
	if u.Scheme == "http" {
		port = "80"
	}
	host, port, err := route.SplitAuthority(u.Host, port)
	if err != nil {
		return "", fmt.Errorf("failed_url: %w", err)
	}
	return Pattern(host, port), nil
}

// Pattern writes host and port as a host pattern.
func Pattern(host, port string) string {
	if port == route.DefaultPort {
		return host
	}
	return host + ":" + port
}

// instructions are what a proposed Dockerfile may say. FROM, USER, CMD and the
// like are the launcher's own; COPY and ADD would read a context or the network
// outside of what the operator sees.
var instructions = []string{"RUN", "ENV", "WORKDIR", "LABEL", "ARG"}

// CheckDockerfile judges the lines that go on top of a bottle's agent image.
func CheckDockerfile(text string) error {
	if strings.TrimSpace(text) == "" {
		return fmt.Errorf("the Dockerfile is empty")
	}
	if !utf8.ValidString(text) || Clean(text) != text {
		return fmt.Errorf("the Dockerfile holds control or invisible characters")
	}
	continued := false
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if comment, ok := strings.CutPrefix(trimmed, "#"); ok {
			if k, _, is := strings.Cut(comment, "="); is && slices.Contains([]string{"syntax", "escape", "check"}, strings.ToLower(strings.TrimSpace(k))) {
				return fmt.Errorf("line %d is a parser directive, which would change how the rest is read", i+1)
			}
			continue
		}
		if trimmed == "" {
			continue
		}
		if !continued {
			if word, _, _ := strings.Cut(trimmed, " "); !slices.Contains(instructions, strings.ToUpper(word)) {
				return fmt.Errorf("line %d begins with %q; only %s are taken, on top of the image that the bottle has", i+1, cut(word, 40), strings.Join(instructions, ", "))
			}
			if strings.Contains(trimmed, "--mount") || strings.Contains(trimmed, "--security") || strings.Contains(trimmed, "--network") || strings.Contains(trimmed, "<<") {
				return fmt.Errorf("line %d uses a flag or a here-document, which is not taken; write plain commands", i+1)
			}
		}
		continued = strings.HasSuffix(trimmed, `\`)
	}
	return nil
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
