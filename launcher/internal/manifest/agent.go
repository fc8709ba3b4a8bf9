package manifest

import (
	"strings"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/wire"
)

// agentKeys is the front matter of an agent.
type agentKeys struct {
	Bottle string `yaml:"bottle"`
}

// ParseAgent reads an agent's manifest. The document gives errors their place.
func ParseAgent(name, file string, data []byte) (*Agent, *wire.Doc, error) {
	front, body, err := split(file, data)
	if err != nil {
		return nil, nil, err
	}
	if err := refuseKeys(file, front, 2); err != nil {
		return nil, nil, err
	}
	doc, err := wire.Parse(file, front, 2)
	if err != nil {
		return nil, nil, err
	}
	var k agentKeys
	if err := doc.Decode(&k); err != nil {
		return nil, nil, err
	}
	if k.Bottle == "" {
		return nil, nil, doc.Errorf("bottle", "the agent names no bottle; add the key bottle")
	}
	if err := bottle.CheckName(k.Bottle); err != nil {
		return nil, nil, doc.Errorf("bottle", "%v", err)
	}
	prompt := strings.TrimSpace(body)
	if prompt != "" {
		prompt += "\n"
	}
	return &Agent{Name: name, File: file, Bottle: k.Bottle, Prompt: prompt}, doc, nil
}
