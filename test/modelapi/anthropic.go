package modelapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// messagesRequest is what the Messages API is asked, as far as it matters here.
type messagesRequest struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Thinking *struct {
		Type string `json:"type"`
	} `json:"thinking"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"` // a text or blocks
	} `json:"messages"`
	Tools []struct {
		Name string `json:"name"`
	} `json:"tools"`
}

type block struct {
	Type  string          `json:"type"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

// searchTool loads tools that a client keeps back until the model asks for them.
const searchTool = "ToolSearch"

// called are the tools that the conversation has called, in order.
func (q *messagesRequest) called() []block {
	var out []block
	for _, m := range q.Messages {
		var blocks []block
		if m.Role != "assistant" || json.Unmarshal(m.Content, &blocks) != nil {
			continue
		}
		for _, b := range blocks {
			if b.Type == "tool_use" {
				out = append(out, b)
			}
		}
	}
	return out
}

func (q *messagesRequest) offers(tool string) bool {
	for _, t := range q.Tools {
		if t.Name == tool {
			return true
		}
	}
	return false
}

// anthropicCall is a step in the words of Claude Code's tools.
func anthropicCall(s Step) (tool string, input map[string]any) {
	switch {
	case s.Shell != "":
		return "Bash", map[string]any{"command": s.Shell, "description": "The next step"}
	case s.Write != "":
		return "Write", map[string]any{"file_path": s.Write, "content": s.Content}
	}
	arguments := s.Arguments
	if arguments == nil {
		arguments = map[string]any{}
	}
	return "mcp__" + s.Server + "__" + s.Tool, arguments
}

// messages is POST /v1/messages, and count_tokens below it.
func (m *Model) messages(w http.ResponseWriter, r *http.Request) {
	var q messagesRequest
	if !decode(w, r, &q) {
		return
	}
	if strings.HasSuffix(r.URL.Path, "/count_tokens") {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"input_tokens": 1000})
		return
	}
	if len(q.Tools) == 0 { // a side request: a title, a summary
		m.say(w, q, "A short title")
		return
	}
	calls := q.called()
	done := slices.DeleteFunc(slices.Clone(calls), func(b block) bool { return b.Name == searchTool })
	step, answer := m.turn(len(done))
	if step == nil {
		m.say(w, q, answer)
		return
	}
	tool, input := anthropicCall(*step)
	if !q.offers(tool) {
		searched := len(calls) > 0 && calls[len(calls)-1].Name == searchTool
		if !q.offers(searchTool) || searched && step.Tool == "" {
			m.complain("the client does not offer the tool %s", tool)
		}
		if q.offers(searchTool) && !searched {
			tool, input = searchTool, map[string]any{"query": "select:" + tool, "max_results": 5}
		}
	}
	m.use(w, q, tool, input)
}

// say answers with a text.
func (m *Model) say(w http.ResponseWriter, q messagesRequest, text string) {
	if !q.Stream {
		w.Header().Set("Content-Type", "application/json")
		whole := message(q)
		whole["content"], whole["stop_reason"] = []any{map[string]any{"type": "text", "text": text}}, "end_turn"
		_ = json.NewEncoder(w).Encode(whole)
		return
	}
	e := newEvents(w)
	begin(e, q)
	e.send("content_block_start", map[string]any{"index": 1, "content_block": map[string]any{"type": "text", "text": ""}})
	for _, p := range pieces(text) {
		e.send("content_block_delta", map[string]any{"index": 1, "delta": map[string]any{"type": "text_delta", "text": p}})
	}
	end(e, "end_turn")
}

// use asks the agent to use a tool.
func (m *Model) use(w http.ResponseWriter, q messagesRequest, tool string, input map[string]any) {
	if !q.Stream {
		refuse(w, "a turn with tools is streamed here")
		m.complain("the client asked for a turn that is not streamed")
		return
	}
	e := newEvents(w)
	begin(e, q)
	e.send("content_block_start", map[string]any{"index": 1, "content_block": map[string]any{
		"type": "tool_use", "id": id("toolu_01"), "name": tool, "input": map[string]any{},
	}})
	text, err := json.Marshal(input)
	if err != nil {
		m.complain("the input of %s: %v", tool, err)
	}
	for _, p := range pieces(string(text)) {
		e.send("content_block_delta", map[string]any{"index": 1, "delta": map[string]any{"type": "input_json_delta", "partial_json": p}})
	}
	end(e, "tool_use")
}

func message(q messagesRequest) map[string]any {
	return map[string]any{
		"id": id("msg_01"), "type": "message", "role": "assistant", "model": q.Model, "content": []any{},
		"stop_reason": nil, "stop_sequence": nil,
		"usage": map[string]any{"input_tokens": 1000, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
	}
}

// begin opens a message, with a signed thought before what matters.
func begin(e *events, q messagesRequest) {
	e.send("message_start", map[string]any{"message": message(q)})
	e.send("ping", map[string]any{})
	if q.Thinking == nil || q.Thinking.Type == "disabled" {
		e.send("content_block_start", map[string]any{"index": 0, "content_block": map[string]any{"type": "text", "text": ""}})
		e.send("content_block_delta", map[string]any{"index": 0, "delta": map[string]any{"type": "text_delta", "text": "Next."}})
		e.send("content_block_stop", map[string]any{"index": 0})
		return
	}
	e.send("content_block_start", map[string]any{"index": 0, "content_block": map[string]any{"type": "thinking", "thinking": "", "signature": ""}})
	for _, p := range pieces("What comes next is written down.") {
		e.send("content_block_delta", map[string]any{"index": 0, "delta": map[string]any{"type": "thinking_delta", "thinking": p}})
	}
	e.send("content_block_delta", map[string]any{"index": 0, "delta": map[string]any{"type": "signature_delta", "signature": opaque(384)}})
	e.send("content_block_stop", map[string]any{"index": 0})
}

func end(e *events, why string) {
	e.send("content_block_stop", map[string]any{"index": 1})
	e.send("message_delta", map[string]any{
		"delta": map[string]any{"stop_reason": why, "stop_sequence": nil}, "usage": map[string]any{"output_tokens": e.n},
	})
	e.send("message_stop", map[string]any{})
}
