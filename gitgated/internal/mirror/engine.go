// Package mirror runs git. It keeps a bare mirror of each upstream, refreshes it
// before it is read, takes packs into a quarantine beside it, and pushes from
// there; the gate's own code decides when.
//
// A mirror changes in three ways only: git fetch (atomic), the move of a pack
// that has been accepted upstream, and git update-ref. Whatever a crash cuts off
// is a file that git ignores and that [Open] sweeps.
package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ChildMemory is the most memory that one git process may take. A pack that
// wants more (an object as a chain of deltas, say) is refused by it.
const ChildMemory = 1 << 30

// Engine is the git of one state directory.
type Engine struct {
	state string
	git   string // path of the program
	self  string // path of our own program, which git calls back
	lock  *os.File
}

// config is the whole configuration that git gets. It holds no secret.
const config = `# Written by gitgated at its start.
[safe]
	directory = *
[gc]
	auto = 0
[maintenance]
	auto = false
[core]
	hooksPath = /nonexistent
	attributesFile = /nonexistent
	bigFileThreshold = 16m
	deltaBaseCacheLimit = 32m
	packedGitLimit = 512m
	fsync = committed,reference
[pack]
	threads = 2
	windowMemory = 64m
	deltaCacheSize = 32m
[transfer]
	unpackLimit = 1
[uploadpack]
	allowFilter = true
	allowAnySHA1InWant = true
	keepAlive = 5
[push]
	recurseSubmodules = no
[http]
	followRedirects = false
	sslVerify = true
	sslCAInfo = %s
	lowSpeedLimit = 100
	lowSpeedTime = 60
[credential]
	useHttpPath = true
	helper = "!'%s' credential"
`

// Open takes possession of a state directory, whose other files it may remove.
// UpstreamCA are PEM files that are trusted beside the system's roots.
func Open(state, self string, upstreamCA []string) (*Engine, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("git is missing: %w", err)
	}
	if state, err = filepath.Abs(state); err != nil {
		return nil, err
	}
	if strings.ContainsAny(state+self, "'\"\\\n\t") {
		return nil, fmt.Errorf("the state directory %s or the program %s has quotes, backslashes or line ends in its path", state, self)
	}
	e := &Engine{state: state, git: git, self: self}
	if err := os.MkdirAll(e.path("mirrors"), 0o700); err != nil {
		return nil, fmt.Errorf("cannot use the state directory: %w", err)
	}
	if e.lock, err = os.OpenFile(e.path("lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("cannot use the state directory: %w", err)
	}
	if err := syscall.Flock(int(e.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = e.lock.Close()
		return nil, fmt.Errorf("another gitgated works in the state directory %s: %w", state, err)
	}
	bundle, err := roots(upstreamCA)
	if err == nil {
		err = errors.Join(e.sweep(),
			os.WriteFile(e.path("roots.pem"), bundle, 0o600),
			os.WriteFile(e.path("gitconfig"), fmt.Appendf(nil, config, e.path("roots.pem"), self), 0o600))
	}
	if err != nil {
		_ = e.lock.Close()
		return nil, fmt.Errorf("cannot prepare the state directory: %w", err)
	}
	return e, nil
}

// Close gives the state directory back.
func (e *Engine) Close() error { return e.lock.Close() }

// Roots is the file with the certificates that an https upstream is held to.
func (e *Engine) Roots() string { return e.path("roots.pem") }

func (e *Engine) path(elem ...string) string {
	return filepath.Join(append([]string{e.state}, elem...)...)
}

// systemRoots are the places of the system's certificates.
var systemRoots = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// roots joins the system's certificates with those of the operator.
func roots(files []string) ([]byte, error) {
	var out bytes.Buffer
	for _, f := range systemRoots {
		if data, err := os.ReadFile(f); err == nil {
			out.Write(data)
			break
		}
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("cannot read the upstream's roots: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s holds no certificate", f)
		}
		out.WriteByte('\n')
		out.Write(data)
	}
	return out.Bytes(), nil
}

// sweep removes what a crash left: quarantines, and in mirrors the locks and
// half-written packs of processes that are gone.
func (e *Engine) sweep() error {
	for _, dir := range []string{"quarantine", "tmp"} {
		if err := os.RemoveAll(e.path(dir)); err != nil {
			return err
		}
		if err := os.Mkdir(e.path(dir), 0o700); err != nil {
			return err
		}
	}
	return sweepLocks(e.path("mirrors"))
}

func sweepLocks(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		if strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "tmp_") || strings.HasPrefix(name, ".tmp-") {
			return os.Remove(path)
		}
		return nil
	})
}

// environment is all that git learns from outside. There is nothing of the
// agent's in it, nor of the daemon's own environment but the search path.
func (e *Engine) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + e.path("tmp"), "TMPDIR=" + e.path("tmp"), "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + e.path("gitconfig"), "GIT_ATTR_NOSYSTEM=1",
		"GIT_NO_REPLACE_OBJECTS=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "GIT_ALLOW_PROTOCOL=ssh:https",
		"GIT_SSH_COMMAND='" + e.self + "' ssh-link", "GIT_SSH_VARIANT=ssh",
	}
}

// command prepares a git process that ends with ctx, with us, or past its
// memory, whichever comes first.
func (e *Engine) command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.git, args...)
	cmd.Dir = e.path("tmp")
	cmd.Env = append(e.environment(), env...)
	if dir != "" {
		cmd.Env = append(cmd.Env, "GIT_DIR="+dir)
	}
	// A group of its own, so that git's own children go with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// Start starts a command under the memory limit. Its input must come from a
// pipe that is fed afterwards, so that the limit holds before there is anything
// to work on.
func Start(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("git cannot be started: %w", err)
	}
	limit := unix.Rlimit{Cur: ChildMemory, Max: ChildMemory}
	if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_DATA, &limit, nil); err != nil && !errors.Is(err, unix.ESRCH) {
		_ = cmd.Cancel()
		_ = cmd.Wait()
		return fmt.Errorf("the memory of git cannot be limited: %w", err)
	}
	return nil
}

// output runs a command to its end and returns what it printed. The error holds
// the last of what it complained about.
func output(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	complaint := &Tail{Max: 8 << 10}
	cmd.Stdout, cmd.Stderr = &out, complaint
	if err := Start(cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return out.Bytes(), &ExitError{Args: cmd.Args, Err: err, Stderr: complaint.String()}
	}
	return out.Bytes(), nil
}

// ExitError is a git process that failed.
type ExitError struct {
	Args   []string
	Err    error
	Stderr string
}

func (e *ExitError) Error() string {
	verb := "git"
	if len(e.Args) > 1 {
		verb += " " + e.Args[1]
	}
	return fmt.Sprintf("%s: %v: %s", verb, e.Err, strings.TrimSpace(e.Stderr))
}

// Unwrap returns how it ended.
func (e *ExitError) Unwrap() error { return e.Err }

// Tail keeps the end of what is written to it.
type Tail struct {
	Max int
	buf []byte
}

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if drop := len(t.buf) - t.Max; drop > 0 {
		t.buf = append(t.buf[:0], t.buf[drop:]...)
	}
	return len(p), nil
}

func (t *Tail) String() string { return string(t.buf) }

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}
