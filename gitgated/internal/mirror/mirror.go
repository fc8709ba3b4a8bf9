package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/gitremote"
)

// Link is what git's helpers (ssh-link, credential) need to reach an upstream.
// It names secrets by their files and is itself a file, so that neither an
// argument nor the environment of a git process tells more than its place.
type Link struct {
	Upstream gitremote.Upstream `json:"upstream"`
	SSH      sshlink.Server     `json:"ssh"`
	// TokenFile holds the token for https, "" when there is none.
	TokenFile string `json:"token_file"`
}

// Variables by which the helpers find their link and leave their fault.
const (
	LinkVariable  = "GITGATED_LINK"
	FaultVariable = "GITGATED_FAULT"
)

// Refs is what an upstream was seen to hold.
type Refs struct {
	// ByName are object ids by full name, in the namespaces that are mirrored.
	ByName map[string]string
	// Head is the branch that HEAD names, "" when it names none.
	Head string
	// At is when the look at the upstream began.
	At time.Time
}

// Mirror is the copy of one upstream. It is safe for concurrent use.
type Mirror struct {
	engine *Engine
	dir    string
	link   Link
	file   string // of the link

	mu   sync.Mutex
	next *look // queued, not begun
	now  *look // under way
	last *Refs

	// writing is held while refs or packs of the mirror change.
	writing sync.Mutex
	dirty   bool // a writer was cut off, so locks may be left
}

// look is one refresh, shared by those who wait for it.
type look struct {
	begin time.Time
	done  chan struct{}
	refs  *Refs
	err   error
}

// Mirror returns the mirror of a remote, made if it is new.
func (e *Engine) Mirror(ctx context.Context, name string, link Link) (*Mirror, error) {
	id := name + "-" + hash(link.Upstream.URL())
	m := &Mirror{engine: e, dir: e.path("mirrors", id+".git"), link: link, file: e.path("mirrors", id+".json")}
	if err := m.Relink(link); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(m.dir, "HEAD")); errors.Is(err, fs.ErrNotExist) {
		// Made aside and moved, so that a half-made one is never taken for whole.
		tmp := m.dir + ".new"
		if err := os.RemoveAll(tmp); err != nil {
			return nil, err
		}
		if _, err := output(e.command(ctx, "", nil, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", tmp)); err != nil {
			return nil, fmt.Errorf("cannot make the mirror of %s: %w", name, err)
		}
		if err := os.Rename(tmp, m.dir); err != nil {
			return nil, fmt.Errorf("cannot make the mirror of %s: %w", name, err)
		}
	}
	return m, nil
}

// Relink gives the mirror's next conversations another credential or host key.
func (m *Mirror) Relink(link Link) error {
	data, err := json.Marshal(link)
	if err != nil {
		return err
	}
	tmp := m.file + ".new"
	if err := errors.Join(os.WriteFile(tmp, data, 0o600), os.Rename(tmp, m.file)); err != nil {
		return fmt.Errorf("cannot prepare the mirror of %s: %w", m.link.Upstream.URL(), err)
	}
	return nil
}

// Dir is the mirror's directory.
func (m *Mirror) Dir() string { return m.dir }

// Command prepares a git process on the mirror.
func (m *Mirror) Command(ctx context.Context, args ...string) *exec.Cmd {
	return m.engine.command(ctx, m.dir, nil, args...)
}

// Refresh makes the mirror what the upstream is. What was learnt by a look that
// began less than maxAge ago is good enough. Those who ask at the same time
// share one look; nobody gets the result of one that began before maxAge.
func (m *Mirror) Refresh(ctx context.Context, maxAge time.Duration) (*Refs, error) {
	oldest := time.Now().Add(-maxAge)
	m.mu.Lock()
	if m.last != nil && m.last.At.After(oldest) {
		defer m.mu.Unlock()
		return m.last, nil
	}
	l := m.now
	if l == nil || l.begin.Before(oldest) {
		if l = m.next; l == nil {
			l = &look{done: make(chan struct{})}
			m.next = l
			if m.now == nil {
				m.begin()
			}
		}
	}
	m.mu.Unlock()
	select {
	case <-l.done:
		return l.refs, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// begin starts the queued look. The caller holds m.mu. The look does not end
// with whoever asked first: others may be waiting for it.
func (m *Mirror) begin() {
	l := m.next
	m.now, m.next = l, nil
	l.begin = time.Now()
	go func() {
		l.refs, l.err = m.refresh(context.Background(), l.begin)
		m.mu.Lock()
		defer m.mu.Unlock()
		if l.err == nil {
			m.last = l.refs
		} else {
			m.last = nil // nothing stale
		}
		close(l.done)
		if m.now = nil; m.next != nil {
			m.begin()
		}
	}()
}

// Times that a refresh may take: to hear of the upstream's refs at all, which
// bounds how long an agent waits for the error, and to get their objects.
const (
	lookTime  = 14 * time.Second
	fetchTime = 30 * time.Minute
)

func (m *Mirror) refresh(ctx context.Context, at time.Time) (*Refs, error) {
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.dirty {
		if err := sweepLocks(m.dir); err != nil {
			return nil, err
		}
		m.dirty = false
	}
	there, err := m.remoteRefs(ctx)
	if err != nil {
		return nil, err
	}
	there.At = at
	here, err := m.localRefs(ctx)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(here, there.ByName) {
		if err := m.fetch(ctx); err != nil {
			m.dirty = true
			return nil, err
		}
		if there.ByName, err = m.localRefs(ctx); err != nil {
			return nil, err
		}
		m.tidy(ctx)
	}
	if _, ok := there.ByName[there.Head]; ok {
		if _, err := output(m.Command(ctx, "symbolic-ref", "HEAD", there.Head)); err != nil {
			return nil, err
		}
	}
	return there, nil
}

// remoteRefs asks the upstream for its refs.
func (m *Mirror) remoteRefs(ctx context.Context) (*Refs, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lookTime, errSlow)
	defer cancel()
	args := []string{"ls-remote", "--symref", m.link.Upstream.URL(), "HEAD"}
	for _, n := range gitremote.Namespaces {
		args = append(args, n+"*")
	}
	out, err := m.talk(ctx, nil, nil, args...)
	if err != nil {
		return nil, err
	}
	refs := &Refs{ByName: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		oid, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch target, symref := strings.CutPrefix(oid, "ref: "); {
		case !ok || strings.HasSuffix(name, "^{}"):
		case symref && name == "HEAD":
			refs.Head = target
		case slices.ContainsFunc(gitremote.Namespaces, func(n string) bool { return strings.HasPrefix(name, n) }):
			refs.ByName[name] = oid
		}
	}
	return refs, nil
}

func (m *Mirror) localRefs(ctx context.Context) (map[string]string, error) {
	args := append([]string{"for-each-ref", "--format=%(objectname)%09%(refname)"}, gitremote.Namespaces...)
	out, err := output(m.Command(ctx, args...))
	if err != nil {
		return nil, err
	}
	refs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if oid, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok {
			refs[name] = oid
		}
	}
	return refs, nil
}

func (m *Mirror) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTime, errSlow)
	defer cancel()
	args := []string{
		"fetch", "--quiet", "--atomic", "--prune", "--force", "--no-tags", "--no-write-fetch-head",
		"--no-auto-maintenance", "--no-recurse-submodules", "--no-show-forced-updates", m.link.Upstream.URL(),
	}
	for _, n := range gitremote.Namespaces {
		args = append(args, "+"+n+"*:"+n+"*")
	}
	_, err := m.talk(ctx, nil, nil, args...)
	return err
}

// manyPacks is how many packs a mirror may have before they are joined.
const manyPacks = 40

// tidy joins packs when there are many. What it does not manage is left for the
// next time.
func (m *Mirror) tidy(ctx context.Context) {
	packs, err := filepath.Glob(filepath.Join(m.dir, "objects", "pack", "*.pack"))
	if err != nil || len(packs) < manyPacks {
		return
	}
	if _, err := output(m.Command(ctx, "repack", "-d", "-q", "--geometric=2", "--no-write-bitmap-index")); err != nil {
		m.dirty = true
	}
	_, _ = output(m.Command(ctx, "pack-refs", "--all")) // loose refs work as well
}

// talk runs a git command that connects to the upstream. Its error is a
// [*sshlink.Fault] whenever the cause can be told.
func (m *Mirror) talk(ctx context.Context, env []string, complaint *Tail, args ...string) ([]byte, error) {
	if err := m.knock(ctx); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(m.engine.path("tmp"), "fault-")
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the connection: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	cmd := m.engine.command(ctx, m.dir, append(env, LinkVariable+"="+m.file, FaultVariable+"="+f.Name()), args...)
	var out bytes.Buffer
	if complaint == nil {
		complaint = &Tail{Max: 8 << 10}
	}
	cmd.Stdout, cmd.Stderr = &out, complaint
	if err := Start(cmd); err != nil {
		return nil, err
	}
	err = cmd.Wait()
	if err == nil {
		return out.Bytes(), nil
	}
	return out.Bytes(), m.diagnose(ctx, f.Name(), &ExitError{cmd.Args, err, complaint.String()})
}

// Size is the number of bytes below the mirror's objects.
func (m *Mirror) Size() (total int64) {
	_ = filepath.WalkDir(filepath.Join(m.dir, "objects"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if fi, err := d.Info(); err == nil {
				total += fi.Size()
			}
		}
		return nil
	})
	return total
}

// memory is a size as git's options take it.
func memory(n int64) string { return strconv.FormatInt(n, 10) }
