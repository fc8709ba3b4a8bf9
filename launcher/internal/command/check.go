package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/safedial"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/explain"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
	"github.com/bottlesuite/bottle/launcher/internal/preset"
)

func (r *run) checkCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "explain what an agent's bottle would make of a request, without starting anything",
		ArgsUsage: "AGENT METHOD URL",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "a header of the request, `NAME:VALUE`; may stand several times"},
			&cli.BoolFlag{Name: "resolve", Usage: "ask this machine's resolver for the host, and judge its addresses"},
			jsonFlag,
		},
		Action: func(c *cli.Context) error {
			w, err := r.words(c, false, "AGENT", "METHOD", "URL")
			if err != nil {
				return err
			}
			header, err := headers(c.StringSlice("header"))
			if err != nil {
				return err
			}
			req := explain.Request{Method: w[1], URL: w[2], Header: header}
			return r.check(c.Context, w[0], req, c.Bool("resolve"), c.Bool("json"))
		},
	}
}

// StatusDenied is the exit status of a check whose answer is no, as it is of the
// daemons' own.
const StatusDenied = 3

var methodShape = regexp.MustCompile(`^[A-Z][A-Z-]*$`)

// headers reads NAME:VALUE.
func headers(given []string) (http.Header, error) {
	h := http.Header{}
	for _, kv := range given {
		name, value, ok := strings.Cut(kv, ":")
		if !ok || name == "" || strings.ContainsAny(kv, "\r\n") {
			return nil, mendf("%q is not a header such as accept:text/plain", kv)
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h, nil
}

func (r *run) check(ctx context.Context, agent string, req explain.Request, resolve, asJSON bool) error {
	if !methodShape.MatchString(req.Method) {
		return mendf("%q is not a method such as GET; the order is AGENT METHOD URL", req.Method)
	}
	l, err := r.load(agent)
	if err != nil {
		return err
	}
	b := l.Bottle
	if err := takePresets(ctx, b, preset.Here(r.env)); err != nil {
		return err
	}
	var resolver safedial.Resolver
	if resolve {
		resolver = &net.Resolver{PreferGo: true}
	}
	a, err := explain.Bottle(ctx, b, req, resolver)
	if err != nil {
		return mend(err)
	}
	if asJSON {
		err = r.json(a)
	} else {
		err = r.explained(a, req)
	}
	if err == nil && a.Decision != policy.Allow {
		return engine.ExitStatus(StatusDenied)
	}
	return err
}

// explained prints an answer, one thing on a line.
func (r *run) explained(a *explain.Answer, req explain.Request) error {
	w := tabwriter.NewWriter(r.stdio.Out, 0, 0, 2, ' ', 0)
	row := func(head, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", head, plain.Line(fmt.Sprintf(format, args...)))
	}
	row(string(a.Decision), "%s %s", req.Method, req.URL)
	if a.Reason != "" {
		row("reason", "%s, by %s", a.Reason, a.By)
		row("why", "%s", a.Detail)
	}
	if a.Rule != "" {
		head := "by"
		if a.Decision != policy.Allow {
			head = "nearest"
		}
		row(head, "%s (%s)", a.Rule, a.Where)
	}
	if a.Preset != "" {
		row("preset", "%s, from %s", a.Preset, a.PresetSource)
	}
	if i := a.Inject; i != nil {
		set := "set here"
		if r.env[i.TokenRef] == "" {
			set = "not set here"
		}
		row("injects", "%s, with the token %s (scheme %s; %s)", i.Field, i.TokenRef, i.Scheme, set)
	}
	if a.Dial != nil {
		row("dials", "%s", dialled(a.Dial))
	}
	if a.Ask != nil {
		row("ask", "the agent may ask by %s %s", a.Ask.Tool, arguments(a.Ask.Arguments))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if a.Edit != "" {
		r.print("\nTo allow it, set on that route:\n\n%s", a.Edit)
	}
	if a.Allow != "" {
		r.print("\nTo allow it, add to %s:\n\n%s", a.File, strings.TrimSuffix(a.Allow, "\n"))
	}
	return nil
}

// dialled says where pipelockd connects.
func dialled(d *explain.Dial) string {
	at := net.JoinHostPort(d.Host, d.Port)
	switch {
	case d.Pinned:
		return fmt.Sprintf("%s at %s, which pipelock.hosts pins", at, strings.Join(d.Addresses, ", "))
	case len(d.Addresses) > 0:
		slices.Sort(d.Addresses)
		return fmt.Sprintf("%s, here at %s", at, strings.Join(d.Addresses, ", "))
	case d.AnyPrivate:
		return at + ", wherever its name leads then, private addresses included (pipelock.allow_private)"
	}
	return at + ", if its name leads to public addresses only then (--resolve asks now)"
}

// arguments are those of a tool, as JSON on one line.
func arguments(args map[string]any) string {
	text, err := json.Marshal(args)
	if err != nil {
		return ""
	}
	return string(text)
}
