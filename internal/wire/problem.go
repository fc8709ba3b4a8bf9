package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
)

// DenyHeader names the reason of a denial in a response.
const DenyHeader = "X-Bottle-Deny"

// Problem is the body of a denial: an RFC 9457 problem document with the
// members that an agent needs to understand it and to ask for a change.
type Problem struct {
	Type      string        `json:"type"`
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Detail    string        `json:"detail"`
	Reason    policy.Reason `json:"reason"`
	RequestID string        `json:"request_id"`
	Method    string        `json:"method"`
	Host      string        `json:"host"`
	Path      string        `json:"path"`
	// Rule is nil when no rule was near.
	Rule *string `json:"rule"`
	Ask  *Ask    `json:"ask"`
}

// Ask is the MCP tool, with arguments, that asks the operator for the change
// that would allow the request.
type Ask struct {
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments"`
}

// NewProblem describes a denied request. Status is 403, except for the reasons
// that are the upstream's fault (502) or the proxy's load (503).
func NewProblem(d policy.Decision, requestID, method, host, path string) Problem {
	p := Problem{
		Type: "about:blank", Title: "Denied by the bottle", Status: http.StatusForbidden,
		Detail: d.Detail, Reason: d.Reason, RequestID: requestID,
		Method: method, Host: host, Path: path,
	}
	switch d.Reason {
	case policy.ReasonUpstreamUnreachable, policy.ReasonUpstreamUntrusted:
		p.Title, p.Status = "Upstream failed", http.StatusBadGateway
	case policy.ReasonOverloaded:
		p.Title, p.Status = "The proxy is busy", http.StatusServiceUnavailable
	}
	if d.Rule != "" {
		p.Rule = &d.Rule
	}
	return p
}

// Encode returns the document as JSON.
func (p Problem) Encode() []byte {
	b, err := json.Marshal(p)
	if err != nil { // only Ask could fail to marshal; a denial goes out without it
		p.Ask = nil
		b, _ = json.Marshal(p)
	}
	return append(b, '\n')
}

// Response returns the document as the answer to a CONNECT, after which the
// connection ends.
func (p Problem) Response() *http.Response {
	body := p.Encode()
	return &http.Response{
		StatusCode: p.Status, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Content-Type": {"application/problem+json"},
			"Date":         {time.Now().UTC().Format(http.TimeFormat)},
			DenyHeader:     {string(p.Reason)},
			"Connection":   {"close"},
		},
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(bytes.NewReader(body)),
	}
}

// Write sends the document as the response.
func (p Problem) Write(w http.ResponseWriter) {
	body := p.Encode()
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set(DenyHeader, string(p.Reason))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that is gone needs no answer
}
