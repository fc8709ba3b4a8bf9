package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/objectscan"
)

// history makes a repository with commits that each change two source files, as
// they are in this one, a line at a time.
func (w *world) history(commits int) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, fmt.Sprint("history-", commits))
	w.git("", "clone", "--quiet", w.bare, dir)
	files, err := filepath.Glob("../*/*.go")
	must(w.t, err)
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") }) // which hold secrets
	var texts [][]string
	for _, f := range files {
		data, err := os.ReadFile(f)
		must(w.t, err)
		texts = append(texts, strings.SplitAfter(string(data), "\n"))
	}
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet", "--force")
	cmd.Env, cmd.Stderr = append(w.environment(), fewBreaks...), w.log
	pipe, err := cmd.StdinPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	out := bufio.NewWriter(pipe)
	random := rand.New(rand.NewPCG(1, 2))
	fmt.Fprintf(out, "reset refs/heads/agent/work\nfrom %s\n\n", w.git(dir, "rev-parse", "HEAD"))
	for i := range commits {
		message := fmt.Sprintf("Change %d of the history\n", i)
		fmt.Fprintf(out, "commit refs/heads/agent/work\ncommitter A <a@b> %d +0000\ndata %d\n%s\n", 1_700_000_000+i, len(message), message)
		for range 2 {
			n := random.IntN(len(texts))
			at := random.IntN(len(texts[n]))
			texts[n][at] = fmt.Sprintf("// the line as it is after change %d\n", i)
			text := strings.Join(texts[n], "")
			fmt.Fprintf(out, "M 100644 inline src/%03d/file.go\ndata %d\n%s\n", n, len(text), text)
		}
	}
	must(w.t, out.Flush())
	must(w.t, pipe.Close())
	must(w.t, cmd.Wait())
	return dir
}

// blob makes a repository with one large file that does not compress.
func (w *world) blob(bytes int) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, "blob")
	w.git("", "clone", "--quiet", w.bare, dir)
	w.git(dir, "checkout", "--quiet", "-b", "agent/work")
	f, err := os.Create(filepath.Join(dir, "large.bin"))
	must(w.t, err)
	source := rand.NewChaCha8([32]byte{1})
	buf := make([]byte, 1<<20)
	for range bytes >> 20 {
		_, _ = source.Read(buf) // never fails
		_, err := f.Write(buf)
		must(w.t, err)
	}
	must(w.t, f.Close())
	w.git(dir, "add", ".")
	w.git(dir, "commit", "--quiet", "-m", "Large")
	return dir
}

// cases are the pushes that are measured.
var cases = []struct {
	name string
	make func(*world) string
}{
	{"1", func(w *world) string { return w.history(1) }},
	{"1000", func(w *world) string { return w.history(1000) }},
	{"10000", func(w *world) string { return w.history(10_000) }},
	{"500MB", func(w *world) string { return w.blob(500 << 20) }},
}

// measured is one of the cases with its objects in one pack and no ref to them,
// as they come to the gate.
type measured struct {
	*world
	clone, tip, base string
}

func measure(t testing.TB, prepare func(*world) string) measured {
	m := measured{world: bareWorld(t)}
	m.clone = prepare(m.world)
	m.tip, m.base = m.git(m.clone, "rev-parse", "agent/work"), m.git(m.clone, "rev-parse", "origin/main")
	m.git(m.clone, "update-ref", "-d", "refs/heads/agent/work")
	m.git(m.clone, "repack", "-a", "-d", "-q", "-k")
	return m
}

// push pushes to a new upstream behind sshd, directly or through a gate, and
// returns how long that took.
func (m measured) push(t testing.TB, gated bool) time.Duration {
	w, s := bareWorld(t).overSSH()
	url := w.config.Remotes[0].Upstream
	args := []string{"-c", "core.sshCommand=ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -i " + s.identity}
	if gated {
		w.config.FetchMaxAge = 0 // the default
		w.start()
		url = w.url()
		w.git(m.clone, "ls-remote", url)
	}
	began := time.Now()
	w.git(m.clone, append(args, "push", "--quiet", url, m.tip+":refs/heads/agent/work")...)
	took := time.Since(began)
	_ = s.cmd.Process.Kill() // here and not at the end: there are many
	if gated {
		_ = w.daemon.Process.Kill()
		_ = w.daemon.Wait()
	}
	must(t, errors.Join(os.RemoveAll(w.bare), os.RemoveAll(w.config.State)))
	return took
}

// scan looks through what the push brings, as the gate does.
func (m measured) scan(t testing.TB) *objectscan.Scan {
	scan := &objectscan.Scan{MaxObject: 1 << 30, Dir: m.dir, Packs: filepath.Join(m.clone, ".git", "objects", "pack"), Command: func(ctx context.Context, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir, cmd.Env = m.clone, m.environment()
		return cmd
	}}
	found, err := scan.Run(context.Background(), []string{m.tip})
	if err != nil || len(found) > 0 {
		t.Fatal(found, err)
	}
	return scan
}

// gitleaks runs the program that GITLEAKS names over the same commits.
func (m measured) gitleaks(t testing.TB) {
	program := os.Getenv("GITLEAKS")
	if program == "" {
		t.Skip("GITLEAKS does not name the program")
	}
	cmd := exec.Command(program, "git", "--no-banner", "--exit-code=0", "--log-opts="+m.base+".."+m.tip, m.clone)
	cmd.Env = m.environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// BenchmarkPush pushes to an upstream behind sshd, directly and through the gate.
// One iteration is one push into a repository that has none of it.
func BenchmarkPush(b *testing.B) {
	for _, c := range cases {
		m := measure(b, c.make)
		for way, gated := range map[string]bool{"direct": false, "gated": true} {
			b.Run(c.name+"/"+way, func(b *testing.B) {
				var total time.Duration
				for b.Loop() {
					total += m.push(b, gated)
				}
				b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/op") // without the preparation
			})
		}
	}
}

// BenchmarkScan looks through what such a push brings, with this gate's scan and
// with `gitleaks git` on the same commits.
func BenchmarkScan(b *testing.B) {
	for _, c := range cases {
		m := measure(b, c.make)
		b.Run(c.name+"/gitgated", func(b *testing.B) {
			for b.Loop() {
				scan := m.scan(b)
				b.SetBytes(scan.Bytes.Load())
				b.ReportMetric(float64(scan.Objects.Load()), "objects")
			}
		})
		b.Run(c.name+"/gitleaks", func(b *testing.B) {
			for b.Loop() {
				m.gitleaks(b)
			}
		})
	}
}
