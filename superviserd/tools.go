package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/internal/wire"
)

//go:embed schema/*.json
var schemas embed.FS

// schema is the JSON schema of a tool's input or output. It is written by hand,
// because its descriptions are what a model learns the tool from.
func schema(name string) json.RawMessage {
	data, err := schemas.ReadFile("schema/" + name + ".json")
	if err != nil {
		panic(err) // embedded
	}
	return data
}

const instructions = `You work in a bottle: what its policy does not allow is denied, with a JSON problem document that says why.
When a denial carries "ask", call the tool that it names with its arguments and a justification. Ask for the least that does the job: exact paths and methods, no wildcard.
A call waits a while for a human. If it returns "pending", go on with other work and call proposal-status later. "rejected" is final.`

// Input of the tools; the schemas hold the same fields.
type (
	egressInput struct {
		Host    string `json:"host"`
		Matches []struct {
			Path *struct {
				Exact  string `json:"exact"`
				Prefix string `json:"prefix"`
				Regex  string `json:"regex"`
			} `json:"path"`
			Methods []string          `json:"methods"`
			Headers map[string]string `json:"headers"`
		} `json:"matches"`
		Auth *struct {
			Scheme   string `json:"scheme"`
			TokenRef string `json:"token_ref"`
			Header   string `json:"header"`
		} `json:"auth"`
		WebSocket     bool   `json:"websocket"`
		EncodedSlash  bool   `json:"encoded_slash"`
		Justification string `json:"justification"`
	}
	pipelockInput struct {
		Host          string `json:"host"`
		FailedURL     string `json:"failed_url"`
		Justification string `json:"justification"`
	}
	capabilityInput struct {
		Dockerfile    string `json:"dockerfile"`
		Justification string `json:"justification"`
	}
	gitleaksInput struct {
		Remote        string `json:"remote"`
		Object        string `json:"object"`
		Rule          string `json:"rule"`
		Path          string `json:"path"`
		Commit        string `json:"commit"`
		Justification string `json:"justification"`
	}
	statusInput struct {
		ID   string `json:"id"`
		Wait int    `json:"wait_seconds"`
	}
	statusOutput struct {
		Proposals []answer `json:"proposals"`
	}
)

// newServer is the MCP server with its tools. None of them decides anything.
func (s *service) newServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "superviserd", Title: "Bottle supervisor", Version: daemon.Version},
		&mcp.ServerOptions{Instructions: instructions, Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}})
	no := false
	asks := &mcp.ToolAnnotations{IdempotentHint: true, DestructiveHint: &no, OpenWorldHint: &no}
	reads := &mcp.ToolAnnotations{ReadOnlyHint: true, DestructiveHint: &no, IdempotentHint: true, OpenWorldHint: &no}
	tool := func(name, title, description, output string, a *mcp.ToolAnnotations) *mcp.Tool {
		return &mcp.Tool{Name: name, Title: title, Description: description, Annotations: a, InputSchema: schema(name), OutputSchema: schema(output)}
	}
	mcp.AddTool(server, tool(wire.ToolEgress, "Ask for an egress route",
		"Ask the operator to let this bottle send requests to a host that was denied (host_not_allowed, path_not_allowed, method_not_allowed). Waits for the decision; if none comes in time it returns status \"pending\" with an id for proposal-status. A denial's \"ask\" holds these arguments ready-made; add a justification.",
		"answer", asks), s.egress)
	mcp.AddTool(server, tool(wire.ToolPipelock, "Ask for a host",
		"Ask the operator to let the outer proxy (pipelockd) connect to a host. Use it when a denial's \"ask\" names this tool, as in a bottle without routes; otherwise use egress-block.",
		"answer", asks), s.pipelock)
	mcp.AddTool(server, tool(wire.ToolCapability, "Ask for a program",
		"Ask the operator to rebuild this bottle with a program that is missing. Give Dockerfile instructions that run as root on top of the present image. On approval this session ends; the bottle is resumed with the same home directory.",
		"answer", asks), s.capability)
	mcp.AddTool(server, tool(wire.ToolGitleaks, "Ask to push what looks like a secret",
		"Ask the operator to let one object be pushed although a rule found what looks like a secret in it (secret_found). Only for what is no secret, such as a test fixture or a hash; a real one must be removed from every commit of the push. The refusal of the push prints these arguments ready-made; add a justification. An approval is for that object and rule alone, and ends.",
		"answer", asks), s.gitleaks)
	mcp.AddTool(server, tool("list-egress-routes", "List what is allowed",
		"Show what this bottle may reach at present, in the schema of a bottle's manifest. Tokens appear by name only. Call it before you ask for more.",
		"policy", reads), s.list)
	mcp.AddTool(server, tool("proposal-status", "See what became of a proposal",
		"Say whether a proposal is pending, approved, rejected or expired. Without an id: all proposals of this bottle.",
		"status", reads), s.proposals)
	return server
}

func (s *service) egress(ctx context.Context, req *mcp.CallToolRequest, in egressInput) (*mcp.CallToolResult, answer, error) {
	r := &wire.Route{Host: in.Host, WebSocket: in.WebSocket, EncodedSlash: in.EncodedSlash}
	for _, m := range in.Matches {
		wm := wire.Match{Methods: m.Methods, Headers: m.Headers}
		if m.Path != nil {
			wm.Path = &wire.PathMatch{Exact: m.Path.Exact, Prefix: m.Path.Prefix, Regex: m.Path.Regex}
		}
		r.Matches = append(r.Matches, wm)
	}
	if in.Auth != nil {
		r.Auth = &wire.Auth{Scheme: in.Auth.Scheme, TokenRef: in.Auth.TokenRef, Header: in.Auth.Header}
	}
	p := wire.Proposal{Tool: wire.ToolEgress, Route: r, Justification: in.Justification}
	if err := s.servable(r); err != nil {
		return nil, answer{}, s.refused(p, err)
	}
	return s.ask(ctx, req, p)
}

// servable refuses a route that this bottle could not serve if it were approved.
func (s *service) servable(r *wire.Route) error {
	egress := s.config.Load().Policy.Egress
	if egress == nil {
		return &queue.Refusal{Sentence: "this bottle has no egress routes at all; use pipelock-block"}
	}
	if r.Auth == nil {
		return nil
	}
	var known []string
	for _, have := range egress.Routes {
		if have.Auth != nil {
			if have.Auth.TokenRef == r.Auth.TokenRef {
				return nil
			}
			known = append(known, have.Auth.TokenRef)
		}
	}
	return &queue.Refusal{Sentence: fmt.Sprintf("the bottle holds no token %q; it holds %v. Leave auth out, or tell the operator which token is missing", shown(r.Auth.TokenRef), known)}
}

func (s *service) pipelock(ctx context.Context, req *mcp.CallToolRequest, in pipelockInput) (*mcp.CallToolResult, answer, error) {
	p := wire.Proposal{Tool: wire.ToolPipelock, Host: in.Host, FailedURL: in.FailedURL, Justification: in.Justification}
	if p.Host == "" {
		host, err := queue.HostOf(in.FailedURL)
		if err != nil {
			return nil, answer{}, s.refused(p, &queue.Refusal{Sentence: "name a host, or the URL that failed: " + err.Error()})
		}
		p.Host = host
	}
	return s.ask(ctx, req, p)
}

func (s *service) capability(ctx context.Context, req *mcp.CallToolRequest, in capabilityInput) (*mcp.CallToolResult, answer, error) {
	return s.ask(ctx, req, wire.Proposal{Tool: wire.ToolCapability, Dockerfile: in.Dockerfile, Justification: in.Justification})
}

// gitleaks asks for one finding of the git gate.
func (s *service) gitleaks(ctx context.Context, req *mcp.CallToolRequest, in gitleaksInput) (*mcp.CallToolResult, answer, error) {
	f := &wire.GitFinding{Remote: in.Remote, Object: in.Object, Rule: in.Rule, Path: queue.Clean(in.Path), Commit: in.Commit}
	p := wire.Proposal{Tool: wire.ToolGitleaks, Finding: f, Justification: in.Justification}
	if err := s.served(f.Remote); err != nil {
		return nil, answer{}, s.refused(p, err)
	}
	return s.ask(ctx, req, p)
}

// served refuses a remote that this bottle does not have.
func (s *service) served(remote string) error {
	git := s.config.Load().Policy.Git
	if git == nil {
		return &queue.Refusal{Sentence: "this bottle has no git remotes"}
	}
	var names []string
	for _, r := range git.Remotes {
		if r.Name == remote {
			return nil
		}
		names = append(names, r.Name)
	}
	return &queue.Refusal{Sentence: fmt.Sprintf("there is no remote %q; the bottle has %v", shown(remote), names)}
}

// list shows the policy in force, as YAML for the reader and as JSON.
func (s *service) list(_ context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	text, err := yaml.Marshal(s.config.Load().Policy)
	if err != nil {
		return nil, nil, errors.New("the routes cannot be written")
	}
	var view map[string]any
	if err := yaml.Unmarshal(text, &view); err != nil {
		return nil, nil, errors.New("the routes cannot be written")
	}
	s.Count("listed")
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(text)}}}, view, nil
}

// proposals tells what became of one proposal, or of all.
func (s *service) proposals(ctx context.Context, req *mcp.CallToolRequest, in statusInput) (*mcp.CallToolResult, statusOutput, error) {
	out := statusOutput{Proposals: []answer{}}
	s.Count("status")
	if in.ID != "" {
		p, err := s.desk.Proposal(in.ID)
		if err != nil {
			return nil, out, fmt.Errorf("there is no proposal %q; call proposal-status without an id for all of them", shown(in.ID))
		}
		a, err := s.await(ctx, req, p, min(time.Duration(in.Wait)*time.Second, s.wait()))
		out.Proposals = append(out.Proposals, a)
		return a.result(), out, err
	}
	items, _, err := s.desk.Items()
	if err != nil {
		return nil, out, errors.New("the queue cannot be read; tell the operator")
	}
	text := "There are no proposals."
	for i, it := range items {
		a, err := s.status(it.Proposal)
		if err != nil {
			return nil, out, err
		}
		if i == 0 {
			text = ""
		}
		text += a.Status + " (" + a.ID + ") " + it.Proposal.Tool + " " + subject(it.Proposal) + "\n"
		out.Proposals = append(out.Proposals, a)
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, out, nil
}
