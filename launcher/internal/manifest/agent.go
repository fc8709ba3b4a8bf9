package manifest

import (
	"strings"
	"unicode"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
)

// agentKeys is the front matter of an agent.
type agentKeys struct {
	// Bottle is what the agent runs in.
	Bottle string `yaml:"bottle"`
	// Skills are directories of ~/.claude/skills, copied in read-only.
	Skills []string `yaml:"skills"`
	// GitUser is whom commits are by.
	GitUser *GitUser `yaml:"git_user"`
}

// GitUser is whom the agent's commits are by, unless it says otherwise itself.
type GitUser struct {
	// Name is as in "Agent".
	Name string `yaml:"name"`
	// Email is as in "agent@example.com".
	Email string `yaml:"email"`
}

// ParseAgent reads an agent's manifest. The document gives errors their place.
func ParseAgent(name, file string, data []byte) (*Agent, *wire.Doc, error) {
	var k agentKeys
	doc, body, err := readFront("agent", file, data, &k)
	if err != nil {
		return nil, nil, err
	}
	if k.Bottle == "" {
		return nil, nil, doc.Errorf("bottle", "the agent names no bottle; add the key bottle")
	}
	if err := bottle.CheckName(k.Bottle); err != nil {
		return nil, nil, doc.Errorf("bottle", "%v", err)
	}
	if err := checkGitUser(k.GitUser, doc); err != nil {
		return nil, nil, err
	}
	prompt := strings.TrimSpace(body)
	if prompt != "" {
		prompt += "\n"
	}
	return &Agent{Name: name, File: file, Bottle: k.Bottle, Prompt: prompt, GitUser: k.GitUser, skills: k.Skills}, doc, nil
}

// checkGitUser takes what git takes as it is: it would leave out angle brackets
// and line ends by itself, and refuse to commit without one of the two.
func checkGitUser(u *GitUser, doc *wire.Doc) error {
	if u == nil {
		return nil
	}
	bad := func(r rune) bool { return r == '<' || r == '>' || unicode.IsControl(r) }
	for _, f := range []struct{ at, value string }{{"git_user.name", u.Name}, {"git_user.email", u.Email}} {
		switch {
		case strings.TrimSpace(f.value) == "":
			return doc.Errorf(f.at, "%s is missing; write git_user: {name: ..., email: ...}", f.at)
		case strings.ContainsFunc(f.value, bad) || len(f.value) > 256:
			return doc.Errorf(f.at, "%s has an angle bracket or a line end, or is longer than 256 bytes, which git does not take", f.at)
		}
	}
	if !strings.Contains(u.Email, "@") {
		return doc.Errorf("git_user.email", "%q is not an address such as agent@example.com", u.Email)
	}
	return nil
}
