package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/transcripts anew")

const transcriptHead = `# %s in a bottle

The real program (%s), headless in a bottle, against a stand-in for its model's
API that plays a script; shortened. The API saw the operator's key in each request,
the guest a placeholder. While the program waited at its question, the operator
approved it. Written by the test that judges all this by what the upstreams saw,
` + "`go test ./test/e2e -run 'TestClaudeCode|TestCodex' -update`" + `.

> %s

`

// proposalID differs from run to run.
var proposalID = regexp.MustCompile(`("id":"|approved \()[a-z0-9]{16}`)

// said is one thing in a conversation.
type said struct {
	// tool is what was called, "" for words.
	tool string
	text string
	// result says that text is what a tool answered.
	result bool
}

// writeTranscript writes a conversation for people to read, shortened, without
// what differs from run to run.
func writeTranscript(t *testing.T, p program, version, printed string, same *strings.Replacer) {
	t.Helper()
	if !*update || t.Failed() {
		return
	}
	var out strings.Builder
	fmt.Fprintf(&out, transcriptHead, p.title, version, programPrompt)
	for line := range strings.Lines(printed) {
		for _, s := range p.read(t, line) {
			text := shorten(proposalID.ReplaceAllString(same.Replace(s.text), "${1}ov724ncch2f5hrhj"))
			switch {
			case text == "": // a command that printed nothing
			case s.result:
				fmt.Fprintf(&out, "```\n%s\n```\n\n", text)
			case s.tool != "":
				fmt.Fprintf(&out, "**%s**\n```\n%s\n```\n\n", s.tool, text)
			default:
				fmt.Fprintf(&out, "%s\n\n", text)
			}
		}
	}
	file := filepath.Join("..", "..", "docs", "transcripts", p.name+".md")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func shorten(s string) string {
	s = strings.TrimRight(s, "\n")
	lines := strings.Split(s, "\n")
	if len(lines) > 16 {
		lines = append(lines[:16], fmt.Sprintf("… %d more lines", len(lines)-16))
	}
	for i, l := range lines {
		lines[i] = strings.TrimRight(clipped(l, 400), " ")
	}
	return strings.Join(lines, "\n")
}

// readClaude reads a line of Claude Code's stream-json.
func readClaude(t *testing.T, line string) (out []said) {
	var m struct {
		Type    string
		Message struct {
			Content []struct {
				Type, Text, Name string
				Input            map[string]any
				Content          json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil || m.Type != "assistant" && m.Type != "user" {
		return nil // events that tell of the program itself
	}
	for _, c := range m.Message.Content {
		switch c.Type {
		case "text":
			out = append(out, said{text: c.Text})
		case "tool_use":
			text := input(t, c.Input)
			if command, ok := c.Input["command"].(string); ok {
				text = command
			}
			out = append(out, said{tool: c.Name, text: text})
		case "tool_result":
			var text string
			if json.Unmarshal(c.Content, &text) != nil {
				text = string(c.Content)
			}
			out = append(out, said{result: true, text: text})
		}
	}
	return out
}

// readCodex reads a line of codex exec --json.
func readCodex(t *testing.T, line string) []said {
	var m struct {
		Type string
		Item struct {
			Type, Text, Command, Tool, Server string
			Output                            string `json:"aggregated_output"`
			Arguments                         map[string]any
			Changes                           []struct{ Path, Kind string }
			Result                            struct {
				Content []struct{ Text string }
			}
		}
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil || m.Type != "item.completed" {
		return nil
	}
	i := m.Item
	switch i.Type {
	case "agent_message":
		return []said{{text: i.Text}}
	case "command_execution":
		return []said{{tool: "exec_command", text: i.Command}, {result: true, text: i.Output}}
	case "file_change":
		var text string
		for _, c := range i.Changes {
			text += c.Kind + " " + c.Path + "\n"
		}
		return []said{{tool: "apply_patch", text: text}}
	case "mcp_tool_call":
		out := []said{{tool: i.Server + ": " + i.Tool, text: input(t, i.Arguments)}}
		for _, c := range i.Result.Content {
			out = append(out, said{result: true, text: c.Text})
		}
		return out
	}
	return nil
}

func input(t *testing.T, v map[string]any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
