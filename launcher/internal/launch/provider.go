package launch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/plain"
	"github.com/bottlesuite/bottle/launcher/internal/provider"
)

// provision copies into the agent's home what its program finds and changes there.
// What is there already, as in a resumed bottle, stays. It runs as the agent, so it
// touches nothing but what the agent could.
func (b *Bottle) provision(ctx context.Context) error {
	if !b.Spec.Bottle.Provider.HasHome() {
		return nil
	}
	var complaint bytes.Buffer
	err := b.host.exec(ctx, b.meta, b.machine, "agent",
		provider.CopyHome, engine.Streams{Out: &complaint, Err: &complaint})
	var status engine.ExitStatus
	if b.Spec.Resume && errors.As(err, &status) {
		// The home is what the agent made of it; it must not be able to keep its
		// operator out.
		b.host.say("the settings of %s were put into the kept home directory in part", b.Spec.Bottle.Provider.Name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot put the settings of %s into the agent's home (%s): %w", b.Spec.Bottle.Provider.Name, plain.Line(complaint.String()), err)
	}
	return nil
}

// HasTranscript reports whether the agent's program finds a conversation to go on
// with.
func (b *Bottle) HasTranscript(ctx context.Context) bool {
	dir := b.Spec.Bottle.Provider.Transcript
	return dir != "" && b.host.exec(ctx, b.meta, b.machine, "agent",
		[]string{"test", "-d", "/home/agent/" + dir}, engine.Streams{}) == nil
}

// fromLine is an instruction that begins a stage of a Dockerfile.
var fromLine = regexp.MustCompile(`(?im)^[ \t]*FROM[ \t]`)

// OperatorDockerfile is what is built of the operator's own lines. Without a FROM
// they go on from the provider's image; with one they are stages of their own,
// which may name that image as ${BOTTLE_BASE}.
func OperatorDockerfile(base string, lines []byte) string {
	text := strings.TrimRight(string(lines), "\n") + "\nUSER root\n" + closing
	if fromLine.Match(lines) {
		return "ARG BOTTLE_BASE=" + base + "\n" + text
	}
	return "FROM " + base + "\nUSER root\n" + text
}

// EnsureOperatorImage is the image of a bottle that brings its own Dockerfile, on
// top of the image base. Its tag is a hash of both, so that it is built again when
// one of them has changed and only then. Network is what the build may reach.
func (h *Host) EnsureOperatorImage(ctx context.Context, base string, lines []byte, network string) (string, error) {
	ids, err := h.Engine.Images(ctx, base)
	if err != nil {
		return "", err
	}
	text := OperatorDockerfile(ids[base], lines)
	sum := sha256.Sum256([]byte(text))
	ref := "bottle/agent-operator:" + hex.EncodeToString(sum[:8])
	if _, err := h.Engine.Images(ctx, ref); err == nil {
		return ref, nil
	}
	h.say("image: building %s", ref)
	if err := h.Engine.Build(ctx, ref, network, ids[base], text); err != nil {
		if network == "none" {
			return "", fmt.Errorf("%w (the build had no network; --build-network bridge gives it one)", err)
		}
		return "", err
	}
	return ref, nil
}
