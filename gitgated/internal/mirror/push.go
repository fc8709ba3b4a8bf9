package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bottlesuite/bottle/gitgated/internal/refpolicy"
	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/policy"
)

// Push sends updates to the upstream, all or none, each on the condition that
// the ref there is still what Old says. Messages are what the upstream said to
// the user. The error is a [*sshlink.Fault].
func (m *Mirror) Push(ctx context.Context, q *Quarantine, updates []refpolicy.Update) (messages []string, err error) {
	args := []string{"push", "--porcelain", "--no-verify", "--no-progress", "--no-signed", "--no-recurse-submodules", "--no-thin"}
	if len(updates) > 1 {
		args = append(args, "--atomic")
	}
	var specs []string
	for _, u := range updates {
		lease := u.Old
		if u.Create() {
			lease = "" // must not exist
		}
		args = append(args, "--force-with-lease="+u.Ref+":"+lease)
		if u.Delete() {
			specs = append(specs, ":"+u.Ref)
		} else {
			specs = append(specs, u.New+":"+u.Ref)
		}
	}
	args = append(append(args, m.link.Upstream.URL()), specs...)
	complaint := &Tail{Max: 32 << 10}
	out, err := m.talk(ctx, q.environment(), complaint, args...)
	for line := range strings.Lines(complaint.String()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "remote:"); ok {
			messages = append(messages, strings.TrimSpace(text))
		}
	}
	if err == nil {
		return messages, nil
	}
	var fault *sshlink.Fault
	if said := refusals(string(out)); said != "" {
		reason := policy.ReasonUpstreamRefused
		if strings.Contains(said, "stale info") {
			reason = policy.ReasonRefStale
		}
		return messages, &sshlink.Fault{Reason: reason, Detail: "The upstream refused: " + said}
	}
	if strings.Contains(complaint.String(), "does not support --atomic") {
		return messages, &sshlink.Fault{Reason: policy.ReasonUpstreamRefused, Detail: "The upstream cannot change several refs at once (atomic push); push one ref at a time."}
	}
	if errors.As(err, &fault) {
		return messages, fault
	}
	return messages, &sshlink.Fault{Reason: policy.ReasonUpstreamRefused, Detail: err.Error()}
}

// refusals reads the lines of push --porcelain: a flag, "from:to", a summary.
func refusals(out string) string {
	var all []string
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 || f[0] != "!" {
			continue
		}
		_, to, _ := strings.Cut(f[1], ":")
		all = append(all, to+" "+f[2])
	}
	return strings.Join(all, "; ")
}

// Adopt takes what has been pushed into the mirror: first the packs, then the
// refs. A crash in between leaves packs that nothing refers to.
func (m *Mirror) Adopt(ctx context.Context, q *Quarantine, updates []refpolicy.Update) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	if err := q.migrate(); err != nil {
		return err
	}
	var in strings.Builder
	in.WriteString("start\n")
	for _, u := range updates {
		if u.Delete() {
			fmt.Fprintf(&in, "delete %s\n", u.Ref)
		} else {
			fmt.Fprintf(&in, "update %s %s\n", u.Ref, u.New)
		}
	}
	in.WriteString("prepare\ncommit\n")
	cmd := m.Command(ctx, "update-ref", "--stdin")
	cmd.Stdin = strings.NewReader(in.String())
	if _, err := output(cmd); err != nil {
		m.dirty = true
		return err
	}
	m.tidy(ctx)
	m.mu.Lock()
	m.last = nil // the upstream has moved on
	m.mu.Unlock()
	return nil
}

// migrate moves packs, an index last: without it a pack is not there for git.
func (q *Quarantine) migrate() error {
	from := filepath.Join(q.dir, "objects", "pack")
	to := filepath.Join(q.mirror.dir, "objects", "pack")
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, kind := range []string{"*.pack", "*.rev", "*.idx"} {
		files, err := filepath.Glob(filepath.Join(from, kind))
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := os.Rename(f, filepath.Join(to, filepath.Base(f))); err != nil {
				return fmt.Errorf("cannot take over a pack: %w", err)
			}
		}
	}
	d, err := os.Open(to)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
