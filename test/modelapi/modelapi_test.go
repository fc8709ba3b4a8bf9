package modelapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// ask posts a body to a model and returns what it streamed.
func ask(t *testing.T, m *Model, path, body string) string {
	t.Helper()
	s := httptest.NewServer(m.Handlers()[strings.TrimSuffix(path, "/count_tokens")])
	defer s.Close()
	resp, err := http.Post(s.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// joined is the text that a stream carries in pieces under a key.
func joined(stream, key string) string {
	var out strings.Builder
	for _, part := range strings.Split(stream, `"`+key+`":"`)[1:] {
		end := strings.Index(strings.ReplaceAll(part, `\"`, "xx"), `"`)
		out.WriteString(strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(part[:end]))
	}
	return out.String()
}

// TestMessages walks a script through the Messages API: how far it has come is in
// the conversation alone.
func TestMessages(t *testing.T) {
	m := &Model{}
	m.Play(Script{Steps: []Step{{Shell: "ls"}, {Server: "s", Tool: "t"}}, Answer: "It is done."})
	const tools = `"stream":true,"tools":[{"name":"Bash"},{"name":"ToolSearch"}]`
	const used = `{"role":"assistant","content":[{"type":"tool_use","name":"Bash"}]}`
	for _, c := range []struct{ body, key, want string }{
		{`{` + tools + `,"messages":[{"role":"user","content":"go"}]}`, "partial_json", `{"command":"ls","description":"The next step"}`},
		{`{` + tools + `,"messages":[` + used + `]}`, "partial_json", `{"max_results":5,"query":"select:mcp__s__t"}`},
		{`{` + tools + `,"messages":[` + used + `,{"role":"assistant","content":[{"type":"tool_use","name":"ToolSearch"}]}]}`, "name", "mcp__s__t"},
		{`{` + tools + `,"messages":[` + used + `,` + used + `]}`, "text", "It is done."},
		{`{"stream":true,"messages":[]}`, "text", "A short title"},
	} {
		if got := joined(ask(t, m, "/v1/messages", c.body), c.key); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.body, got, c.want)
		}
	}
	if out := ask(t, m, "/v1/messages/count_tokens", `{}`); !strings.Contains(out, "input_tokens") {
		t.Errorf("the count is %q", out)
	}
	if m.Finished() != 1 || len(m.Trouble()) != 0 {
		t.Errorf("finished %d times; %q", m.Finished(), m.Trouble())
	}
	ask(t, m, "/v1/messages", `{"stream":true,"tools":[{"name":"Read"}],"messages":[]}`)
	if trouble := m.Trouble(); len(trouble) != 1 || !strings.Contains(trouble[0], "Bash") {
		t.Errorf("a client without a shell is reported as %q", trouble)
	}
}

// TestResponses is the same for the Responses API.
func TestResponses(t *testing.T) {
	m := &Model{}
	m.Play(Script{Steps: []Step{{Write: "/a b", Content: "x\ny\n"}, {Server: "s", Tool: "t-u", Arguments: map[string]any{"k": "v"}}}, Answer: "It is done."})
	const tools = `{"type":"additional_tools","tools":[{"type":"namespace","name":"functions","tools":[{"type":"custom","name":"exec"}]}]}`
	const output = `,{"type":"custom_tool_call_output"}`
	for _, c := range []struct{ body, want string }{
		{tools, `text(await tools.apply_patch("*** Begin Patch\n*** Add File: /a b\n+x\n+y\n*** End Patch\n"));` + `\n`},
		{tools + output, `text(await tools.mcp__s__t_u({"k":"v"}));` + `\n`},
		{tools + output + output, "It is done."},
		{`{"type":"message"}`, "A short title"},
	} {
		if got := joined(ask(t, m, "/v1/responses", `{"input":[`+c.body+`]}`), "delta"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.body, got, c.want)
		}
	}
	if m.Finished() != 1 {
		t.Errorf("finished %d times", m.Finished())
	}
}
