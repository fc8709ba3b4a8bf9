package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

func TestLayerIsFound(t *testing.T) {
	const id, image = bottle.Identity("demo-abcde"), "sha256:1234"
	kept := func(t *testing.T) Layer {
		t.Helper()
		l := Layer{filepath.Join(t.TempDir(), "disk")}
		if err := l.make(t.Context()); err != nil {
			t.Skip(err)
		}
		if k, err := l.Find(id); k != nil || err != nil || l.Noted() {
			t.Fatalf("a disk whose machine was never ready is found: %+v, %v", k, err)
		}
		if err := l.Keep(Kept{Identity: id, Image: image}); err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := kept(t)
	if k, err := l.Find(id); err != nil || *k != (Kept{1, id, image}) || !l.Noted() {
		t.Errorf("%+v, %v", k, err)
	}
	for name, spoil := range map[string]func(l Layer) error{
		"no disk":        func(l Layer) error { return os.Remove(l.File()) },
		"a shorter disk": func(l Layer) error { return os.Truncate(l.File(), LayerBytes-1) },
		"a link": func(l Layer) error {
			return errors.Join(os.Rename(l.File(), l.File()+"x"), os.Symlink(l.File()+"x", l.File()))
		},
		"another bottle's": func(l Layer) error { return l.Keep(Kept{Identity: "demo-fghij", Image: image}) },
		"of no image":      func(l Layer) error { return l.Keep(Kept{Identity: id}) },
		"half a note":      func(l Layer) error { return os.WriteFile(l.note(), []byte(`{"version":1`), 0o600) },
		"a later note": func(l Layer) error {
			return os.WriteFile(l.note(), []byte(`{"version":2,"identity":"demo-abcde","image":"a"}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := kept(t)
			if err := spoil(l); err != nil {
				t.Fatal(err)
			}
			k, err := l.Find(id)
			var p *engine.Problem
			if k != nil || !errors.As(err, &p) || !strings.Contains(p.Remedy, "launcher cleanup demo-abcde") || !strings.Contains(err.Error(), l.note()) {
				t.Errorf("%+v, %v", k, err)
			}
		})
	}
	if err := l.Remove(); err != nil {
		t.Error(err)
	}
	if k, err := l.Find(id); k != nil || err != nil {
		t.Errorf("after its removal: %+v, %v", k, err)
	}
	if err := l.Remove(); err != nil {
		t.Errorf("removed twice: %v", err)
	}
}

// TestLayerIsLocked has the lock go with a descriptor to whoever inherits it, as to
// QEMU.
func TestLayerIsLocked(t *testing.T) {
	l := Layer{filepath.Join(t.TempDir(), "disk")}
	if err := l.make(t.Context()); err != nil {
		t.Skip(err)
	}
	f, err := l.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heir, err := os.StartProcess("/bin/sleep", []string{"sleep", "60"}, &os.ProcAttr{Files: []*os.File{nil, nil, nil, f}})
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := l.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a disk that is in use: %v", err)
	}
	_ = heir.Kill()
	_, _ = heir.Wait()
	if err := l.Await(t.Context()); err != nil {
		t.Errorf("a disk that is no more in use: %v", err)
	}
}

// TestMachineIsEndedAtAnyMoment kills a machine and goes on with its disk: over the
// same image, then over another, then with a disk that is damaged.
func TestMachineIsEndedAtAnyMoment(t *testing.T) {
	p := testParts(t)
	driver := &qemuDriver{}
	if _, err := driver.Check(t.Context()); err != nil {
		t.Skip(err)
	}
	start := func(image string) (*Machine, error) {
		p.Guest.Layer.Image = image
		m, err := Start(t.Context(), driver, p)
		p.Wire, p.Guest.Layer.Kept = wireTo(t), true
		return m, err
	}
	goOn := func(image string, scripts ...string) (said string) {
		t.Helper()
		m, err := start(image)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Kill()
		for i, user := range []string{"root", "agent"}[:len(scripts)] {
			out, err := shellIn(t, m)(user, scripts[i], "")
			if err != nil {
				t.Errorf("%s: %v, %s", scripts[i], err, out)
			}
			said += out
		}
		return said
	}
	goOn("a", "echo system >/opt/note", "cd && mkdir d && echo synced >d/synced && rm .profile && sync && echo soon >d/soon && sleep 5")
	const look = "cat /opt/note || true; cat ~agent/d/* && test ! -e ~agent/.profile && test -e ~agent/.bashrc"
	if got := goOn("a", look); got != "system\nsoon\nsynced\n" {
		t.Errorf("over the same image: %q", got)
	}
	if got := goOn("b", "true", look+"; cd && echo more >>d/soon"); !strings.HasPrefix(got, "soon\nsynced\n") || !strings.Contains(got, "/opt/note: No such") {
		t.Errorf("over another image: %q", got)
	}
	f, err := os.OpenFile(p.Layer.File(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, 64<<10), 0)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if m, err := start("b"); err == nil || !strings.Contains(err.Error(), "the disk that was kept is damaged, and is not made anew") {
		t.Errorf("with a damaged disk: %v", err)
		if err == nil {
			m.Kill()
		}
	}
}
