package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/test/modelapi"
)

// secretiveBottle holds Claude Code; what it reads may be a secret.
const secretiveBottle = `---
agent_provider: {template: claude}
egress:
  routes:
<routes>
pipelock:
  hosts: {<api>: <upstream>}
  allow_private: [<api>]
  extra_ca: <ca>
  actions: [<actions>]
resources: {cpus: 2, memory: 3GiB, pids: 512}
---
`

// TestProgramReadsASecret has a real program read a token, which its conversation
// holds from then on. Without a word of the operator's the conversation ends there;
// with one it goes on without the token. The model's API sees it in neither.
func TestProgramReadsASecret(t *testing.T) {
	w := need(t)
	p := claudeCode()
	if err := exec.Command("docker", "image", "inspect", "bottle/agent-claude:dev").Run(); err != nil || w.port != "443" {
		t.Skip("this test needs the image bottle/agent-claude:dev, and port 443")
	}
	for name, c := range map[string]struct {
		actions string
		ends    bool
	}{"block": {"", false}, "redact": {"{hosts: [api.anthropic.com], action: redact}", true}} {
		t.Run(name, func(t *testing.T) {
			home, token := t.TempDir(), "ghp_"+digits(36)
			manifest := strings.NewReplacer("<routes>", p.routes, "<api>", p.api, "<actions>", c.actions).Replace(secretiveBottle)
			if err := w.writeManifest(home, "coder", manifest); err != nil {
				t.Fatal(err)
			}
			b := startProgram(t, w, home, p)
			b.shell(t, "echo GITHUB_TOKEN="+token+" > ~/workspace/.env")
			w.model.Play(modelapi.Script{Answer: "Done.", Steps: []modelapi.Step{{Shell: "cat .env"}, {Shell: "echo further"}}})
			before := w.upstream.Mark()
			r := b.exec(t, "agent", "", p.argv("Read the settings.")...)
			if (r.Status == 0) != c.ends || (w.model.Finished() == 1) != c.ends {
				t.Errorf("the model came to the end %d times; the program: %s", w.model.Finished(), clipped(r.String(), 8000))
			}
			masked := false
			for _, r := range w.upstream.Since(before) {
				if r.Contains(token) {
					t.Errorf("%s saw the token", r.URI)
				}
				masked = masked || strings.Contains(string(r.Body), "GITHUB_TOKEN="+strings.Repeat("x", len(token)))
			}
			if masked != c.ends {
				t.Errorf("the API saw the token overwritten: %v", masked)
			}
			b.awaitLine(t, "pipelockd", "the token", func(l audit.Line) bool {
				if c.ends {
					return l.Decision == policy.Redact
				}
				return l.Decision == policy.Deny && l.Reason == policy.ReasonSecretFound
			})
		})
	}
}
