package launch

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/internal/queue"
	"github.com/bottlesuite/bottle/launcher/internal/vm"
)

// Files of a bottle whose agent has an image of its own. No container sees them.
const (
	dockerfile     = "Dockerfile"
	baseImageFile  = "policy/base-image"
	capabilityFile = "policy/capabilities"
	suspendFile    = "policy/suspend"
	snapshotFile   = "snapshot/home.tar"
)

// OwnImage is the reference of the agent's image of one bottle.
func OwnImage(id bottle.Identity) string { return "bottle/agent-own:" + string(id) }

// closing makes out of any lines an image that the bottle can run: its user, its
// directory, its command, and no program that becomes somebody else.
const closing = `RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +
USER agent
WORKDIR /home/agent/workspace
CMD ["sleep", "infinity"]
`

// BuildCapability adds lines to the Dockerfile of a bottle and builds the image.
// When that fails the bottle keeps the image that it has. Network is what the
// build may reach: "none", or a network of the engine's.
func (h *Host) BuildCapability(ctx context.Context, s bottle.State, lines, network string) error {
	if err := queue.CheckDockerfile(lines); err != nil {
		return fmt.Errorf("the Dockerfile is refused: %w", err)
	}
	base, err := os.ReadFile(s.Path(baseImageFile))
	if os.IsNotExist(err) {
		var m bottle.Metadata
		if m, err = s.Metadata(); err == nil {
			base = []byte(m.Images["agent"])
			err = os.WriteFile(s.Path(baseImageFile), base, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot tell the bottle's image: %w", err)
	}
	had, err := os.ReadFile(s.Path(capabilityFile))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("cannot read what the bottle was given before: %w", err)
	}
	all := string(had) + strings.TrimRight(lines, "\n") + "\n"
	id := strings.TrimSpace(string(base))
	text := "FROM " + id + "\nUSER root\n" + all + closing
	if err := h.Engine.Build(ctx, OwnImage(s.Identity), network, id, text); err != nil {
		return err
	}
	if err := os.WriteFile(s.Path(dockerfile), []byte(text), 0o600); err != nil {
		return fmt.Errorf("cannot keep the Dockerfile: %w", err)
	}
	return os.WriteFile(s.Path(capabilityFile), []byte(all), 0o600)
}

// EnsureImage is the image that a launch goes on with: its own, built again should
// it be gone, or "" when it never had one. Network is what that build may reach.
func (h *Host) EnsureImage(ctx context.Context, s bottle.State, network string) (string, error) {
	text, err := os.ReadFile(s.Path(dockerfile))
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the bottle's Dockerfile: %w", err)
	}
	ref := OwnImage(s.Identity)
	if _, err := h.Engine.Images(ctx, ref); err == nil {
		return ref, nil
	}
	base, err := os.ReadFile(s.Path(baseImageFile))
	if err != nil {
		return "", fmt.Errorf("cannot tell the bottle's image: %w", err)
	}
	if err := h.Engine.Build(ctx, ref, network, strings.TrimSpace(string(base)), string(text)); err != nil {
		return "", fmt.Errorf("the image of %s is gone, and building it again with the network %q failed (--network gives it another one): %w", s.Identity, network, err)
	}
	return ref, nil
}

// RequestSuspend asks the launcher that holds a bottle to take it down with its
// home directory kept.
func RequestSuspend(s bottle.State) error {
	if err := os.WriteFile(s.Path(suspendFile), nil, 0o600); err != nil {
		return fmt.Errorf("cannot ask for the end of the session: %w", err)
	}
	return nil
}

// SuspendRequested reports whether somebody did.
func SuspendRequested(s bottle.State) bool {
	_, err := os.Stat(s.Path(suspendFile))
	return err == nil
}

// Suspend ends the agent and keeps its home directory, for a resume. What is kept
// is an archive that nothing on the host ever unpacks. [Bottle.Stop] comes next.
func (b *Bottle) Suspend(ctx context.Context) error {
	ctx, cancel := undoing(ctx)
	defer cancel()
	if filesInside(b.meta) {
		err := b.host.keepInside(ctx, b.state, b.meta, b.machine)
		if err != nil && b.kept != nil {
			b.host.say("machine: %v; its disk is kept instead", err)
			b.unsaved, err = true, nil
			_ = os.Remove(b.state.Path(suspendFile))
		}
		return err
	}
	if err := b.host.Engine.Kill(ctx, container(b.Spec.Identity, "agent")); err != nil {
		return err
	}
	return b.host.Snapshot(ctx, b.state)
}

// Snapshot keeps the home directory of an agent whose container does not run.
func (h *Host) Snapshot(ctx context.Context, s bottle.State) error {
	return h.keep(s, func(w io.Writer) error {
		return h.Engine.CopyOut(ctx, container(s.Identity, "agent"), "/home/agent", w)
	})
}

// keepInside keeps the home directory of a guest that runs and alone sees it.
func (h *Host) keepInside(ctx context.Context, s bottle.State, m bottle.Metadata, machine *vm.Machine) error {
	return h.keep(s, func(w io.Writer) error { return h.pack(ctx, m, machine, "/home", "agent", w) })
}

// keep keeps the home directory that write writes.
func (h *Host) keep(s bottle.State, write func(io.Writer) error) error {
	if err := os.MkdirAll(s.Path("snapshot"), 0o700); err != nil {
		return fmt.Errorf("cannot keep the agent's home: %w", err)
	}
	part := s.Path(snapshotFile) + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot keep the agent's home: %w", err)
	}
	defer os.Remove(part)
	err = write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("cannot keep the agent's home: %w", err)
	}
	if err := os.Rename(part, s.Path(snapshotFile)); err != nil {
		return fmt.Errorf("cannot keep the agent's home: %w", err)
	}
	_ = os.Remove(s.Path(suspendFile))
	return nil
}
