package main

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // packs end with it
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/pktline"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// fewBreaks keeps fast-import from giving its memory back after each commit, which
// in a virtual machine is most of its time.
var fewBreaks = []string{"MALLOC_TOP_PAD_=67108864", "MALLOC_TRIM_THRESHOLD_=268435456"}

// grow gives the upstream's main a long history.
func (w *world) grow(commits int) {
	w.t.Helper()
	cmd := exec.Command("git", "-C", w.bare, "fast-import", "--quiet", "--force")
	cmd.Env, cmd.Stderr = append(w.environment(), fewBreaks...), w.log
	pipe, err := cmd.StdinPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	out := bufio.NewWriter(pipe)
	fmt.Fprintf(out, "reset refs/heads/main\nfrom %s\n\n", w.git(w.bare, "rev-parse", "main"))
	for i := range commits {
		message := fmt.Sprintf("Change %d\n", i)
		fmt.Fprintf(out, "commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata %d\n%s\n", 1_700_000_000+i, len(message), message)
		if i%1000 == 0 {
			fmt.Fprintf(out, "M 100644 inline d%d/f%d\ndata %d\n%s\n", i%7, i%100, len(message), message)
		}
	}
	must(w.t, out.Flush())
	must(w.t, pipe.Close())
	must(w.t, cmd.Wait())
}

// TestLargeUpstream works on an upstream of 50,000 commits, and keeps a crowd
// that clones it within bounds.
func TestLargeUpstream(t *testing.T) {
	t.Parallel()
	const commits = 50_000
	w := bareWorld(t).overHTTPS()
	began := time.Now()
	w.grow(commits)
	t.Logf("making the upstream: %s", time.Since(began).Round(time.Millisecond))
	w.config.FetchMaxAge = 0 // the default
	w.start()
	began = time.Now()
	dir := w.clone()
	t.Logf("the first clone, for which the mirror is filled: %s", time.Since(began).Round(time.Millisecond))
	if n := w.git(dir, "rev-list", "--count", "HEAD"); n != fmt.Sprint(commits+1) {
		t.Errorf("the clone has %s commits", n)
	}
	w.commit(dir, "new", "a line\n", "A change")
	began = time.Now()
	w.git(dir, "push", "--quiet", "origin", "HEAD")
	t.Logf("a push of one commit: %s", time.Since(began).Round(time.Millisecond))
	if w.git(w.bare, "rev-parse", "agent/work") != w.git(dir, "rev-parse", "HEAD") {
		t.Error("the push did not arrive")
	}
	if scanned := w.log.String(); !strings.Contains(scanned, `"objects":3,`) {
		t.Errorf("more than the new commit, tree and file was scanned:\n%s", tail(scanned))
	}
	w.grow(1)
	time.Sleep(defaultAge)
	began = time.Now()
	w.git(dir, "fetch", "--quiet", "origin", "main")
	if w.git(dir, "rev-parse", "FETCH_HEAD") != w.git(w.bare, "rev-parse", "main") {
		t.Error("the fetch does not see what is new")
	}
	t.Logf("a fetch of one commit: %s", time.Since(began).Round(time.Millisecond))
	t.Run("a crowd", w.crowd)
}

// crowd sends many clones at once. Each is served whole or told that the gate is
// busy, and git runs no more often than it may.
func (w *world) crowd(t *testing.T) {
	const clones = 100
	var question bytes.Buffer
	_ = pktline.Writef(&question, "want %s no-progress ofs-delta\n", w.git(w.bare, "rev-parse", "main")) // a buffer takes everything
	_ = pktline.Writef(&question, "deepen 200\n")
	_ = pktline.WriteFlush(&question)
	_ = pktline.Writef(&question, "done\n")
	var over sync.WaitGroup
	var mu sync.Mutex
	served, busy := 0, 0
	for range clones {
		over.Go(func() {
			resp, err := http.Post(w.url()+"/"+uploadPack, "application/x-"+uploadPack+"-request", bytes.NewReader(question.Bytes()))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && wholePack(body):
				served++
			case err == nil && bytes.Contains(body, []byte(policy.ReasonOverloaded)):
				busy++
			default:
				t.Errorf("neither a pack nor a refusal: %v, %.200q", err, body)
			}
		})
	}
	done := make(chan struct{})
	go func() { over.Wait(); close(done) }()
	most := 0
	before := map[string]string{}
	for wait := true; wait; {
		select {
		case <-done:
			wait = false
		case <-time.After(5 * time.Millisecond):
			// A look takes its time; what is there in two looks was there between them.
			now, both := w.children(), 0
			for pid, line := range now {
				if before[pid] == line && strings.Contains(line, " upload-pack ") {
					both++
				}
			}
			most, before = max(most, both), now
		}
	}
	if served+busy != clones || served < maxReads+maxWaiting || most == 0 || most > maxReads {
		t.Errorf("%d of %d were served, %d refused; %d processes at once", served, clones, busy, most)
	}
	t.Logf("%d clones at once: %d served, %d refused as %s, at most %d upload-packs at a time", clones, served, busy, policy.ReasonOverloaded, most)
	w.git("", "ls-remote", w.url()) // it goes on
}

// wholePack reports whether an answer ends with a pack whose checksum holds.
func wholePack(answer []byte) bool {
	at := bytes.Index(answer, []byte("PACK\x00\x00\x00\x02"))
	if at < 0 || len(answer)-at < 12+sha1.Size {
		return false
	}
	body, sum := answer[at:len(answer)-sha1.Size], answer[len(answer)-sha1.Size:]
	want := sha1.Sum(body) //nolint:gosec // as git does
	return bytes.Equal(want[:], sum)
}

// packHead is the beginning of an entry: its kind and the size of its contents.
func packHead(kind byte, size int) []byte {
	b := []byte{kind<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(size&0x7f))
	}
	return b
}

func deflated(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(data) // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// deltaBomb is a pack of a few kilobytes: a file of 1 MiB, and deltas of 16 KiB
// before compression that each copy it until there are size bytes.
func deltaBomb(size, deltas int) []byte {
	const base = 1 << 20
	varint := func(n int) (b []byte) {
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		return append(b, byte(n))
	}
	var pack bytes.Buffer
	pack.WriteString("PACK\x00\x00\x00\x02")
	_ = binary.Write(&pack, binary.BigEndian, uint32(1+deltas)) // a buffer takes everything
	pack.Write(packHead(3, base))
	pack.Write(deflated(make([]byte, base)))
	at := 12
	for i := range deltas {
		delta := append(varint(base), varint(size+i+1)...)
		for range size / base {
			delta = append(delta, 0xf0, 0x00, 0x00, 0x10) // all of the base, 1 MiB
		}
		delta = append(append(delta, byte(i+1)), bytes.Repeat([]byte{'x'}, i+1)...) // each another object
		back := pack.Len() - at
		pack.Write(packHead(6, len(delta)))
		pack.Write(offset(back))
		pack.Write(deflated(delta))
	}
	sum := sha1.Sum(pack.Bytes()) //nolint:gosec // as git does
	return append(pack.Bytes(), sum[:]...)
}

// offset is how far back the base of a delta is, as packs write it.
func offset(n int) []byte {
	b := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		b = append([]byte{byte(n&0x7f) | 0x80}, b...)
	}
	return b
}

// TestDeltaBombs pushes packs of some kilobytes that unpack to gigabytes: each is
// refused with a reason, and no process takes more memory than one may.
func TestDeltaBombs(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS()
	w.config.Remotes[0].Limits.MaxTime = wire.Duration(20 * time.Second)
	w.start()
	dir := w.clone()
	for _, c := range []struct {
		name         string
		size, deltas int
		reason       policy.Reason
	}{
		{"one object of 4000 MiB", 4000 << 20, 1, policy.ReasonPushLimit},
		{"100 objects of 600 MiB", 600 << 20, 100, policy.ReasonPushLimit},
	} {
		pack := deltaBomb(c.size, c.deltas)
		w.settle()
		began := time.Now()
		w.raw(dir, "refs/heads/agent/bomb", pack)
		if !strings.Contains(w.said, string(c.reason)) {
			t.Errorf("%s: %s", c.name, w.said)
		}
		if w.state() != w.before {
			t.Errorf("%s: the upstream changed", c.name)
		}
		t.Logf("%s in a pack of %d bytes, after %s: %s", c.name, len(pack), time.Since(began).Round(time.Millisecond), first(w.said))
	}
	w.commit(dir, "a", "1", "A change")
	w.git(dir, "push", "--quiet", "origin", "HEAD") // it goes on
	left, err := filepath.Glob(filepath.Join(w.config.State, "quarantine", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("quarantines are left: %v, %v", left, err)
	}
	must(t, w.daemon.Process.Signal(syscall.SIGTERM))
	_ = w.daemon.Wait()
	used, ok := w.daemon.ProcessState.SysUsage().(*syscall.Rusage) // with its children's
	if !ok || used.Maxrss > 1100<<10 {
		t.Errorf("a process took %d MiB", used.Maxrss>>10)
	}
	t.Logf("the largest process took %d MiB", used.Maxrss>>10)
}
