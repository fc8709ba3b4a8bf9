package command

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/launch"
)

// buildNetworkFlag is for commands that may have to build the agent's image.
func buildNetworkFlag() cli.Flag {
	return &cli.StringFlag{Name: "build-network", Value: "none", Usage: "what the build of agent_provider.dockerfile may reach: none, or a `NETWORK` of the engine such as bridge"}
}

// agentImage settles which image the agent gets. That of a bottle with its own
// Dockerfile is built should it not be there.
func (r *run) agentImage(ctx context.Context, host *launch.Host, spec *bundle.Spec) error {
	lines, err := spec.Bottle.ReadDockerfile()
	if err != nil || lines == nil || spec.Image != "" {
		return err
	}
	network := r.buildNetwork
	if network == "" {
		network = "none"
	}
	spec.Image, err = host.EnsureOperatorImage(ctx, spec.Bottle.Provider.Image, lines, network)
	if err != nil {
		return spec.Bottle.At("agent_provider.dockerfile", err)
	}
	return nil
}

// command is what runs in a bottle: what stands after "--", the program with a
// prompt, or the program; in a resumed bottle it goes on with its conversation.
func (r *run) command(ctx context.Context, b *launch.Bottle, prompt string) []string {
	p := b.Spec.Bottle.Provider
	switch {
	case len(r.tail) > 0:
		return r.tail
	case prompt != "":
		return p.Ask(prompt)
	case b.Spec.Resume && len(p.Resume) > 0 && b.HasTranscript(ctx):
		return p.Resume
	}
	return p.Command
}
