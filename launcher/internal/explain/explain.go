// Package explain says what a bottle would make of one request, before there is a
// bottle: which rule decides and where it is written, what is injected, where
// pipelockd would dial, and what to write to have it otherwise. It asks the code by
// which the proxies decide (internal/egress, internal/route, internal/safedial), on
// the tables that the launcher would render for them.
//
// What needs the request itself is beyond it: whether a body holds a secret, and
// what an upstream answers.
package explain

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/bottlesuite/bottle/internal/egress"
	"github.com/bottlesuite/bottle/internal/gitpush"
	"github.com/bottlesuite/bottle/internal/own"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
	"github.com/bottlesuite/bottle/internal/safedial"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/manifest"
)

// Request is what somebody would like to send.
type Request struct {
	Method, URL string
	Header      http.Header
}

// Answer is what would become of it. It is printed as JSON, too.
type Answer struct {
	Decision policy.Verdict `json:"decision"`
	Reason   policy.Reason  `json:"reason,omitempty"`
	Detail   string         `json:"detail,omitempty"`
	// By is the sidecar that decides: egressd or pipelockd.
	By string `json:"by"`
	// Rule is the rule that won, or the nearest miss, as the manifest names it;
	// Where is its file, line and column.
	Rule  string `json:"rule,omitempty"`
	Where string `json:"where,omitempty"`
	// Preset is what gave the rule, "" for the manifest itself.
	Preset       string `json:"preset,omitempty"`
	PresetSource string `json:"preset_source,omitempty"`
	// Inject is the credential that egressd would add, nil for none.
	Inject *Inject `json:"inject,omitempty"`
	// Dial is where pipelockd would connect, nil when the request does not get
	// there.
	Dial *Dial `json:"dial,omitempty"`
	// Allow is what to write into File to have it allowed, "" where the manifest
	// cannot say that. File is the bottle's, or that of the parent whose routes
	// for the host a route in the bottle's would replace.
	Allow string `json:"allow,omitempty"`
	File  string `json:"file,omitempty"`
	// Edit is what to set on the route at Where instead.
	Edit string `json:"edit,omitempty"`
	// Ask is how an agent asks for it.
	Ask *wire.Ask `json:"ask,omitempty"`
}

// Inject names a credential, never its value.
type Inject struct {
	Field    string `json:"field"`
	Scheme   string `json:"scheme"`
	TokenRef string `json:"token_ref"`
}

// Dial is what pipelockd knows of an address beforehand.
type Dial struct {
	Host string `json:"host"`
	Port string `json:"port"`
	// Addresses are those of a pin, or what this machine's resolver says if it
	// was asked.
	Addresses []string `json:"addresses,omitempty"`
	Pinned    bool     `json:"pinned,omitempty"`
	// AnyPrivate says that allow_private takes the name.
	AnyPrivate bool `json:"any_private,omitempty"`
}

// Bottle explains a request to a bottle whose presets have been taken. Resolver
// may be nil: then a name that is not pinned is left unresolved.
func Bottle(ctx context.Context, b *manifest.Bottle, req Request, resolver safedial.Resolver) (*Answer, error) {
	r, denial, err := egress.ReadURL(req.Method, req.URL)
	if err != nil {
		return nil, err
	}
	if req.Header == nil {
		req.Header = http.Header{}
	}
	a := &Answer{By: "egressd"}
	if len(b.Routes) == 0 {
		a.By = "pipelockd"
	}
	if denial == nil {
		denial = r.ReadFraming(req.Header)
	}
	if denial != nil {
		a.set(*denial)
		return a, nil
	}
	if len(b.Routes) > 0 {
		if err := a.egress(b, r, req.Header); err != nil || a.Decision != policy.Allow {
			return a, err
		}
	}
	return a, a.pipelock(ctx, b, r, resolver)
}

// fileFor is where a route for the host of the rule belongs.
func (a *Answer) fileFor(b *manifest.Bottle) string {
	if a.Where == "" || a.Preset != "" {
		return b.File
	}
	at := a.Where[:strings.LastIndexByte(a.Where, ':')]
	return at[:strings.LastIndexByte(at, ':')]
}

func (a *Answer) set(d policy.Decision) {
	a.Decision, a.Reason, a.Detail = d.Verdict, d.Reason, d.Detail
}

// egress is egressd's decision.
func (a *Answer) egress(b *manifest.Bottle, r egress.Request, header http.Header) error {
	t, err := route.Compile(b.Routes)
	if err != nil {
		return err
	}
	d, taken := egress.Judge(t, r, header)
	a.set(d)
	if d.Rule != "" {
		a.Rule, a.Where = "egress."+d.Rule, b.Where("egress."+d.Rule)
		var i int
		if _, err := fmt.Sscanf(d.Rule, "routes[%d]", &i); err == nil {
			if a.Preset, a.PresetSource = b.PresetOf(i); a.Preset != "" {
				a.Where = b.Where("egress.presets")
			}
			if taken == nil {
				taken = &b.Routes[i]
			}
		}
	}
	if !d.OK() {
		a.Ask = egress.Ask(d, r)
		a.Allow = allowRoute(d.Reason, r, taken, b.Routes)
		a.File = a.fileFor(b)
		if a.Preset == "" && a.Rule != "" {
			a.Edit = edit(d.Reason, r)
		}
		return nil
	}
	if taken.Auth != nil {
		a.Inject = &Inject{Field: own.Field(taken.Auth), Scheme: taken.Auth.Scheme, TokenRef: taken.Auth.TokenRef}
	}
	return nil
}

// pipelock is pipelockd's decision about host and address.
func (a *Answer) pipelock(ctx context.Context, b *manifest.Bottle, r egress.Request, resolver safedial.Resolver) error {
	allow := b.Hosts()
	patterns := make([]string, len(allow))
	for i, h := range allow {
		patterns[i] = h.Host
	}
	hosts, err := route.NewHostSet(patterns)
	if err != nil {
		return err
	}
	i, named := hosts.Find(r.Host, r.Port)
	host := r.Host
	if r.Port != route.DefaultPort {
		host += ":" + r.Port
	}
	deny := func(reason policy.Reason, detail string) {
		a.By = "pipelockd"
		a.set(policy.Denied(reason, "", detail))
	}
	switch {
	case gitpush.IsPush(r.Path, r.Query):
		deny(policy.ReasonGitPush, gitpush.Detail)
		return nil
	case !named:
		deny(policy.ReasonHostNotAllowed, fmt.Sprintf("The allowlist does not name %s:%s.", r.Host, r.Port))
		a.Allow, a.File = "pipelock:\n  allow: ["+quoted(host)+"]\n", b.File
		a.Ask = &wire.Ask{Tool: wire.ToolPipelock, Arguments: map[string]any{"host": host, "justification": ""}}
		return nil
	case r.Scheme == "http" && !strings.Contains(allow[i].Host, ":"):
		deny(policy.ReasonHostNotAllowed, "This host is allowed over https only; plain HTTP needs an entry with its port.")
		return nil
	}
	if len(b.Routes) == 0 {
		a.set(policy.Allowed(""))
		a.Rule = fmt.Sprintf("pipelock.allow[%d]", i)
		a.Where = b.Where(a.Rule)
	}
	return a.dial(ctx, b, r, resolver)
}

// dial judges the address, as far as it is known.
func (a *Answer) dial(ctx context.Context, b *manifest.Bottle, r egress.Request, resolver safedial.Resolver) error {
	pin, pinned := b.Pipelock.Hosts[r.Host]
	a.Dial = &Dial{Host: r.Host, Port: r.Port, Pinned: pinned, AnyPrivate: takesName(b.Pipelock.AllowPrivate, r.Host)}
	if pinned {
		a.Dial.Addresses = []string{pin}
	}
	if !pinned && resolver == nil {
		return nil
	}
	d, err := safedial.New(safedial.Options{Hosts: b.Pipelock.Hosts, AllowPrivate: b.Pipelock.AllowPrivate, Resolver: resolver})
	if err != nil {
		return err
	}
	addrs, err := d.Resolve(ctx, r.Host)
	if err != nil {
		a.By = "pipelockd"
		a.set(addressDenial(err))
		if a.Reason == policy.ReasonAddressForbidden {
			a.Allow, a.File = "pipelock:\n  allow_private: ["+quoted(r.Host)+"]\n", b.File
		}
		return nil
	}
	a.Dial.Addresses = nil
	for _, addr := range addrs {
		a.Dial.Addresses = append(a.Dial.Addresses, addr.String())
	}
	return nil
}
