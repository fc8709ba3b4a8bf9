// Package modelapi plays a model's API for the real command line agents: the
// Messages API of Anthropic and the Responses API of OpenAI, streamed as the
// originals stream them. The model behind it is a script: a list of [Step] that
// the agent is asked to take, one in each turn, and a sentence at the end.
//
// It keeps no state of a conversation. How far a conversation has come is read
// off the request, which holds all of it, so that a client may retry, send side
// requests or start over as it likes. Answers have in them what real ones have
// and scanners stumble over: signed thoughts, encrypted reasoning, long ids.
//
// A [Model] is safe for use by several connections.
package modelapi

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
)

// Step is one thing that the model asks its agent to do. One of the fields is set.
type Step struct {
	// Shell is a command line.
	Shell string
	// Write is a file to write, with Content.
	Write, Content string
	// Tool is a tool of an MCP server, with its Server and Arguments.
	Server, Tool string
	Arguments    map[string]any
}

// Script is what a model does in one conversation.
type Script struct {
	Steps []Step
	// Answer is its last word.
	Answer string
}

// Model serves both APIs by one script. The zero value has nothing to do and says
// so.
type Model struct {
	mu       sync.Mutex
	script   Script
	finished int
	trouble  []string
}

// Play sets the script and forgets what was reported of the one before.
func (m *Model) Play(s Script) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.script, m.finished, m.trouble = s, 0, nil
}

// Finished is how often a conversation came to the answer.
func (m *Model) Finished() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.finished
}

// Trouble are sentences about requests that did not fit the script.
func (m *Model) Trouble() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.trouble)
}

func (m *Model) complain(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trouble = append(m.trouble, fmt.Sprintf(format, args...))
}

// turn is the step after done others, or nil and the answer.
func (m *Model) turn(done int) (*Step, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if done < len(m.script.Steps) {
		return &m.script.Steps[done], ""
	}
	m.finished++
	if m.script.Answer == "" {
		return nil, "There is nothing to do."
	}
	return nil, m.script.Answer
}

// Handlers are the paths of both APIs, as [upstream.Config] takes them.
func (m *Model) Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		"/v1/messages":  http.HandlerFunc(m.messages),
		"/v1/responses": http.HandlerFunc(m.responses),
	}
}

// decode reads a request's body, or answers that it cannot.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	data, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		refuse(w, "the body is not readable: "+err.Error())
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "error", "error": map[string]any{"type": "invalid_request_error", "message": why}})
}

// events writes server-sent events, each at once.
type events struct {
	w http.ResponseWriter
	n int
}

func newEvents(w http.ResponseWriter) *events {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	return &events{w: w}
}

// send writes an event of a kind; its data says the kind, too.
func (e *events) send(kind string, data map[string]any) {
	data["type"] = kind
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // of nothing but maps, strings and numbers
	}
	fmt.Fprintf(e.w, "event: %s\ndata: %s\n\n", kind, text)
	_ = http.NewResponseController(e.w).Flush()
	e.n++
}

// pieces cuts a text as a model's tokens do.
func pieces(s string) []string {
	var out []string
	for len(s) > 12 {
		out, s = append(out, s[:12]), s[12:]
	}
	return append(out, s)
}

// opaque is what an API returns for its client to send back and never to read.
func opaque(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return base64.StdEncoding.EncodeToString(b)
}

// id has the shape of the APIs' ids.
func id(prefix string) string { return prefix + rand.Text()[:24] }
