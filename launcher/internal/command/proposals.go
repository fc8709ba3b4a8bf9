package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/decide"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
)

func (r *run) proposalsCommand() *cli.Command {
	return &cli.Command{
		Name: "proposals", Usage: "see and decide what agents ask for: list [IDENTITY], show ID, approve ID, reject ID, edit ID",
		ArgsUsage: "list|show|approve|reject|edit [ID]",
		Flags: []cli.Flag{
			jsonFlag,
			&cli.BoolFlag{Name: "all", Usage: "list: decided ones, too"},
			&cli.BoolFlag{Name: "once", Usage: "approve, edit: until the bottle stops (default)"},
			&cli.DurationFlag{Name: "for", Usage: "approve, edit: for a time, such as 60s or 8h"},
			&cli.BoolFlag{Name: "good", Usage: "approve, edit: for good, written into the bottle's manifest"},
			&cli.StringFlag{Name: "network", Value: "none", Usage: "approve, edit of a capability-block: the engine's network that the build may use, such as bridge or host"},
			&cli.StringFlag{Name: "reason", Usage: "a sentence for the agent"},
		},
		Action: func(c *cli.Context) error {
			verbs := map[string]func(*cli.Context, string) error{
				"show": r.showProposal, "approve": r.approve, "reject": r.reject, "edit": r.edit,
			}
			r.buildNetwork = c.String("network")
			verb, arg := c.Args().Get(0), c.Args().Get(1)
			do, ok := verbs[verb]
			switch {
			case r.tail != nil || c.Args().Len() > 2:
				return mendf("proposals takes a verb and one id; see `launcher proposals --help`")
			case verb == "list" || verb == "":
				return r.listProposals(c, arg)
			case !ok:
				return mendf("proposals cannot %q; it can list, show, approve, reject and edit", plain.Line(verb))
			case !queue.ValidID(arg):
				return mendf("proposals %s needs the id of a proposal; `launcher proposals list` shows them", verb)
			}
			return do(c, arg)
		},
	}
}

// supervised are the launches that have a queue.
func (r *run) supervised() ([]bottle.State, error) {
	home, err := r.home()
	if err != nil {
		return nil, err
	}
	ids, err := home.Identities()
	if err != nil {
		return nil, err
	}
	var out []bottle.State
	for _, id := range ids {
		if _, err := os.Stat(home.State(id).Path("queue", "proposals")); err == nil {
			out = append(out, home.State(id))
		}
	}
	return out, nil
}

// desk is where the proposals of a launch are decided.
func (r *run) desk(s bottle.State) (*decide.Desk, error) {
	host, err := r.host()
	if err != nil {
		return nil, err
	}
	src := manifest.Source{Home: host.Home, UserHome: r.getenv("HOME")}
	build := func(ctx context.Context, s bottle.State, lines string) error {
		return host.BuildCapability(ctx, s, lines, r.buildNetwork)
	}
	return &decide.Desk{Policy: host.Policy(s.Identity), Manifest: src.AmendFile, Capability: build, Suspend: launch.RequestSuspend}, nil
}

// proposal finds a proposal in the queues of all launches.
func (r *run) proposal(id string) (*decide.Desk, wire.Proposal, error) {
	states, err := r.supervised()
	if err != nil {
		return nil, wire.Proposal{}, err
	}
	for _, s := range states {
		p, err := decide.Box(s).Proposal(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, p, err
		}
		d, err := r.desk(s)
		return d, p, err
	}
	return nil, wire.Proposal{}, mendf("there is no proposal %s; `launcher proposals list` shows them", id)
}

// listedProposal is one object of `proposals list --json`.
type listedProposal struct {
	ID            string `json:"id"`
	Identity      string `json:"identity"`
	Tool          string `json:"tool"`
	Subject       string `json:"subject"`
	Justification string `json:"justification"`
	CreatedAt     string `json:"created_at"`
	Status        string `json:"status"`
	Expires       string `json:"expires,omitempty"`
}

func (r *run) listProposals(c *cli.Context, only string) error {
	states, err := r.supervised()
	if err != nil {
		return err
	}
	all := []listedProposal{}
	for _, s := range states {
		if only != "" && string(s.Identity) != only {
			continue
		}
		items, odd, err := decide.Box(s).Items()
		if err != nil {
			return err
		}
		if odd > 0 {
			r.note("warning: %d files in the queue of %s are not proposals and were left out", odd, s.Identity)
		}
		for _, it := range items {
			if l := listProposal(s, it); c.Bool("all") || l.Status == "pending" {
				all = append(all, l)
			}
		}
	}
	if c.Bool("json") {
		return r.json(all)
	}
	if len(all) == 0 {
		r.note("Nobody asks for anything.")
		return nil
	}
	w := tabwriter.NewWriter(r.stdio.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tIDENTITY\tTOOL\tSUBJECT\tSTATUS\tASKED\tWHY")
	for _, l := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Identity, l.Tool, plain.Line(l.Subject), l.Status, l.CreatedAt, clip(plain.Line(l.Justification), 60))
	}
	return w.Flush()
}

func listProposal(s bottle.State, it queue.Item) listedProposal {
	p := it.Proposal
	l := listedProposal{ID: p.ID, Identity: string(s.Identity), Tool: p.Tool, Subject: subject(p), Justification: p.Justification, CreatedAt: p.CreatedAt.String(), Status: "pending"}
	switch {
	case it.Decision != nil:
		l.Status, l.Expires = it.Decision.Verdict, it.Decision.Expires.String()
	case queue.Expired(p, time.Now()):
		l.Status = "expired"
	}
	return l
}

// subject is what a proposal is about, in a word.
func subject(p wire.Proposal) string {
	switch {
	case p.Route != nil:
		return p.Route.Host
	case p.Host != "":
		return p.Host
	case p.Finding != nil:
		return fmt.Sprintf("%s in %.12s of %s", p.Finding.Rule, p.Finding.Object, p.Finding.Remote)
	}
	return fmt.Sprintf("Dockerfile (%d lines)", strings.Count(strings.TrimSpace(p.Dockerfile), "\n")+1)
}

func clip(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

func (r *run) showProposal(c *cli.Context, id string) error {
	d, p, err := r.proposal(id)
	if err != nil {
		return err
	}
	lines, err := d.Diff(p)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return r.json(struct {
			listedProposal
			Changes any `json:"changes"`
		}{listProposal(d.Policy.State, queue.Item{Proposal: p}), lines})
	}
	text, err := yaml.Marshal(p)
	if err != nil {
		return err
	}
	r.print("%s", strings.TrimRight(plain.String(string(text)), "\n"))
	r.print("\nWhat it would change:")
	for _, l := range lines {
		mark := "  "
		if l.Alarm {
			mark = "! "
		}
		r.print("%s%s", mark, plain.Line(l.Text))
	}
	return nil
}

// approval reads how far an approval reaches from the flags.
func approval(c *cli.Context) (decide.Approval, error) {
	a := decide.Approval{Scope: wire.ScopeOnce, Reason: c.String("reason")}
	given := 0
	for flag, scope := range map[string]string{"once": wire.ScopeOnce, "for": wire.ScopeFor, "good": wire.ScopeGood} {
		if c.IsSet(flag) {
			given++
			a.Scope, a.For = scope, c.Duration("for")
		}
	}
	if given > 1 {
		return a, mendf("give one of --once, --for and --good")
	}
	return a, nil
}

func (r *run) approve(c *cli.Context, id string) error {
	a, err := approval(c)
	if err != nil {
		return err
	}
	d, _, err := r.proposal(id)
	if err != nil {
		return err
	}
	return r.carryOut(c.Context, d, id, a)
}

func (r *run) carryOut(ctx context.Context, d *decide.Desk, id string, a decide.Approval) error {
	dec, err := d.Approve(ctx, id, a)
	if err != nil {
		return err
	}
	until := map[string]string{wire.ScopeOnce: "until the bottle stops", wire.ScopeFor: "until " + dec.Expires.String(), wire.ScopeGood: "for good"}[dec.Scope]
	r.print("approved %s for %s, %s", id, d.Policy.State.Identity, until)
	for _, l := range dec.Changes {
		r.print("  %s", plain.Line(l))
	}
	if p, err := decide.Box(d.Policy.State).Proposal(id); err == nil && p.Tool == wire.ToolCapability {
		r.print("The session ends now; go on with: launcher resume %s", d.Policy.State.Identity)
	}
	return nil
}

func (r *run) reject(c *cli.Context, id string) error {
	d, _, err := r.proposal(id)
	if err != nil {
		return err
	}
	if _, err := d.Reject(id, c.String("reason")); err != nil {
		return err
	}
	r.print("rejected %s", id)
	return nil
}
