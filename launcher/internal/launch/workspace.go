package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
	"github.com/bottlesuite/bottle/launcher/internal/workspace"
)

// CopyIn copies a directory of the host into the agent's workspace. The agent's
// own user unpacks it there; secrets are values that must not be in it.
func (b *Bottle) CopyIn(ctx context.Context, dir string, secrets workspace.Secrets) ([]workspace.Left, error) {
	r, w := io.Pipe()
	type packed struct {
		left []workspace.Left
		err  error
	}
	done := make(chan packed, 1)
	go func() {
		left, err := workspace.Pack(dir, secrets, w)
		_ = w.CloseWithError(err) // nil is the end of the archive
		done <- packed{left, err}
	}()
	err := b.host.exec(ctx, b.meta, b.machine, "agent",
		[]string{"tar", "-x", "-f", "-", "-C", compose.WorkspaceDir, "--no-same-owner"}, engine.Streams{In: r, Out: io.Discard, Err: io.Discard})
	_ = r.CloseWithError(errors.New("the bottle takes no more"))
	p := <-done
	if p.err != nil {
		err = p.err // which is the cause of the other one
	}
	if err != nil {
		return p.left, fmt.Errorf("the workspace %s was not copied: %w", dir, err)
	}
	return p.left, nil
}

// Workspace hands the agent's workspace to take as an archive, in which it has the
// path prefix: from its container while the bottle is up, else from the home
// directory that was kept. A machine's disk is not read: it is a guest's to open.
func (h *Host) Workspace(ctx context.Context, s bottle.State, take func(prefix string, r io.Reader) error) error {
	m, err := s.Current()
	if err != nil {
		return err
	}
	if filesInside(m) && m.State == bottle.StateRunning {
		parent, name := insideWorkspace()
		return piped(func(w io.Writer) error { return h.pack(ctx, m, nil, parent, name, w) }, name, take)
	}
	if k, err := layerOf(s).Find(s.Identity); err != nil {
		return err
	} else if k != nil {
		return fmt.Errorf("the workspace of %s is on the disk of its machine, which only a machine opens; go on with it first (`launcher resume %s`)", s.Identity, s.Identity)
	}
	cs, err := h.Engine.Containers(ctx, label(s.Identity))
	if err != nil {
		return err
	}
	for _, c := range cs {
		if c.Component() == "agent" {
			return piped(func(w io.Writer) error {
				return h.Engine.CopyOut(ctx, container(s.Identity, "agent"), compose.WorkspaceDir, w)
			}, "workspace", take)
		}
	}
	f, err := os.Open(s.Path(snapshotFile))
	if err != nil {
		return fmt.Errorf("%s kept no workspace: %w", s.Identity, err)
	}
	defer f.Close()
	return take("agent/workspace", f)
}

// piped hands what give writes to take, without a copy in between. The fault of the
// side that failed first is the cause.
func piped(give func(io.Writer) error, prefix string, take func(string, io.Reader) error) error {
	r, w := io.Pipe()
	given := make(chan error, 1)
	go func() {
		err := give(w)
		_ = w.CloseWithError(err) // nil is the end of the archive
		given <- err
	}()
	err := take(prefix, r)
	if err == nil {
		_, err = io.Copy(io.Discard, r) // what stands behind the archive's end
	}
	_ = r.CloseWithError(errors.New("the archive is not wanted any more"))
	if gerr := <-given; err == nil {
		err = gerr
	}
	return err
}
