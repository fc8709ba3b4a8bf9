package modelapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// responsesRequest is what the Responses API is asked, as far as it matters here.
type responsesRequest struct {
	Model string `json:"model"`
	Input []struct {
		Type  string `json:"type"`
		Name  string `json:"name"`
		Tools []tool `json:"tools"`
	} `json:"input"`
	Tools []tool `json:"tools"`
}

// tool is an offered tool, or a namespace of some.
type tool struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Tools []tool `json:"tools"`
}

// offers reports whether a tool of a name is offered anywhere.
func (q *responsesRequest) offers(name string) bool {
	var in func(ts []tool) bool
	in = func(ts []tool) bool {
		for _, t := range ts {
			if t.Name == name && t.Type != "namespace" || in(t.Tools) {
				return true
			}
		}
		return false
	}
	if in(q.Tools) {
		return true
	}
	for _, i := range q.Input {
		if in(i.Tools) {
			return true
		}
	}
	return false
}

// done counts the calls that were answered.
func (q *responsesRequest) done() (n int) {
	for _, i := range q.Input {
		if i.Type == "custom_tool_call_output" || i.Type == "function_call_output" {
			n++
		}
	}
	return n
}

// codexTool runs programs in JavaScript, which call the other tools.
const codexTool = "exec"

// openaiCall is a step as a program for [codexTool].
func openaiCall(s Step) string {
	quote := func(v any) string {
		text, _ := json.Marshal(v) // strings and maps of them
		return string(text)
	}
	switch {
	case s.Shell != "":
		return "const r = await tools.exec_command({cmd: " + quote(s.Shell) + ", yield_time_ms: 25000});\ntext(r.output);\n"
	case s.Write != "":
		var patch strings.Builder
		fmt.Fprintf(&patch, "*** Begin Patch\n*** Add File: %s\n", s.Write)
		for line := range strings.Lines(s.Content) {
			patch.WriteString("+" + line)
		}
		patch.WriteString("*** End Patch\n")
		return "text(await tools.apply_patch(" + quote(patch.String()) + "));\n"
	}
	arguments := s.Arguments
	if arguments == nil {
		arguments = map[string]any{}
	}
	name := "mcp__" + s.Server + "__" + strings.ReplaceAll(s.Tool, "-", "_")
	return "text(await tools." + name + "(" + quote(arguments) + "));\n"
}

// responses is POST /v1/responses.
func (m *Model) responses(w http.ResponseWriter, r *http.Request) {
	var q responsesRequest
	if !decode(w, r, &q) {
		return
	}
	if !q.offers(codexTool) { // a side request
		m.tell(w, q, "A short title")
		return
	}
	step, answer := m.turn(q.done())
	if step == nil {
		m.tell(w, q, answer)
		return
	}
	e, response := open(w, q)
	item := map[string]any{"type": "custom_tool_call", "id": id("ctc_"), "call_id": id("call_"), "name": codexTool, "input": "", "status": "in_progress"}
	e.send("response.output_item.added", map[string]any{"output_index": 1, "item": item})
	program := openaiCall(*step)
	for _, p := range pieces(program) {
		e.send("response.custom_tool_call_input.delta", map[string]any{"output_index": 1, "item_id": item["id"], "delta": p})
	}
	item["input"], item["status"] = program, "completed"
	e.send("response.output_item.done", map[string]any{"output_index": 1, "item": item})
	complete(e, response)
}

// tell answers with a text.
func (m *Model) tell(w http.ResponseWriter, q responsesRequest, text string) {
	e, response := open(w, q)
	item := map[string]any{"type": "message", "id": id("msg_"), "role": "assistant", "status": "in_progress", "content": []any{}}
	e.send("response.output_item.added", map[string]any{"output_index": 1, "item": item})
	for _, p := range pieces(text) {
		e.send("response.output_text.delta", map[string]any{"output_index": 1, "content_index": 0, "item_id": item["id"], "delta": p})
	}
	item["status"], item["content"] = "completed", []any{map[string]any{"type": "output_text", "text": text, "annotations": []any{}}}
	e.send("response.output_item.done", map[string]any{"output_index": 1, "item": item})
	complete(e, response)
}

// open begins a response, with encrypted reasoning before what matters.
func open(w http.ResponseWriter, q responsesRequest) (*events, map[string]any) {
	e := newEvents(w)
	response := map[string]any{"id": id("resp_"), "object": "response", "status": "in_progress", "model": q.Model, "output": []any{}}
	e.send("response.created", map[string]any{"response": response})
	thought := map[string]any{"type": "reasoning", "id": id("rs_"), "summary": []any{}, "encrypted_content": ""}
	e.send("response.output_item.added", map[string]any{"output_index": 0, "item": thought})
	thought["encrypted_content"] = "gAAAAAB" + opaque(600)
	e.send("response.output_item.done", map[string]any{"output_index": 0, "item": thought})
	return e, response
}

func complete(e *events, response map[string]any) {
	response["status"] = "completed"
	response["usage"] = map[string]any{
		"input_tokens": 1000, "input_tokens_details": map[string]any{"cached_tokens": 0},
		"output_tokens": e.n, "output_tokens_details": map[string]any{"reasoning_tokens": 0}, "total_tokens": 1000 + e.n,
	}
	e.send("response.completed", map[string]any{"response": response})
}
