package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/bottlesuite/bottle/test/modelapi"
	"github.com/bottlesuite/bottle/test/trial"
	"github.com/bottlesuite/bottle/test/upstream"
)

// Addresses on the loopback interface; see [upstream.Borrow].
const (
	upstreamAddress = "198.51.100.20" // what the bottles may reach
	innerAddress    = "198.51.100.21" // what a pinned name leads to, without allow_private
	nobodysAddress  = "198.51.100.22" // what no manifest names
)

// world is what the tests have in common.
type world struct {
	bin  string // directory of the binaries
	dir  string // everything temporary
	home string // BOTTLE_HOME
	// port is the upstreams' port, 443 unless that needs privileges.
	port string
	// token is what egressd injects; it has the shape of a real one, so that a
	// scanner that does not know what was injected would refuse it.
	token string
	// keys are further injected values, by variable.
	keys map[string]string

	upstream *upstream.Server
	inner    *upstream.Server
	nobody   *upstream.Tripwire // on nobodysAddress
	host     *upstream.Tripwire // on every address of the host
	argv     *argvWatch
	// model is what stands behind the upstream's model APIs.
	model modelapi.Model

	shared func() (*bottle, error)
	undo   []func() error
}

var (
	the     *world
	whyNone error
)

func TestMain(m *testing.M) {
	os.Exit(func() (status int) {
		the, whyNone = newWorld()
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
		go func() {
			<-stop
			_ = the.close()
			os.Exit(130)
		}()
		defer func() {
			if err := the.close(); err != nil {
				fmt.Fprintln(os.Stderr, "after the tests:", err)
				status = 1
			}
		}()
		return m.Run()
	}())
}

// need returns the world, or skips the test with the reason why there is none.
func need(t *testing.T) *world {
	t.Helper()
	if whyNone != nil {
		if os.Getenv("BOTTLE_REQUIRE_DOCKER") == "1" {
			t.Fatal(whyNone)
		}
		t.Skip(whyNone)
	}
	return the
}

// inBottle returns the world and the bottle that the tests share.
func inBottle(t *testing.T) (*world, *bottle) {
	t.Helper()
	w := need(t)
	b, err := w.shared()
	if err != nil {
		t.Fatal("the shared bottle was not started: ", err)
	}
	return w, b
}

func newWorld() (*world, error) {
	w := &world{token: "ghp_" + digits(36), keys: map[string]string{"E2E_BASIC": "user:" + digits(24), "E2E_KEY": "key-" + digits(32)}}
	w.shared = sync.OnceValues(func() (*bottle, error) { return w.start(w.home, "tester", backend()...) })
	if err := w.findTools(); err != nil {
		return w, err
	}
	var err error
	if w.dir, err = os.MkdirTemp("", "bottle-e2e-"); err != nil {
		return w, err
	}
	w.later(func() error { return os.RemoveAll(w.dir) })
	w.home = filepath.Join(w.dir, "home")
	if err := w.startUpstreams(); err != nil {
		return w, err
	}
	w.argv = watchArgv(w.token, w.keys["E2E_BASIC"], w.keys["E2E_KEY"])
	w.later(w.argv.close)
	return w, w.writeManifests(w.home)
}

// backend is how the shared bottle is isolated: BOTTLE_E2E_BACKEND=smolmachines
// runs its tests in a virtual machine.
func backend() []string {
	if b := os.Getenv("BOTTLE_E2E_BACKEND"); b != "" {
		return []string{"--backend", b}
	}
	return nil
}

// onMachines reports whether the shared bottle is in a virtual machine.
func onMachines() bool { return os.Getenv("BOTTLE_E2E_BACKEND") == "smolmachines" }

// findTools looks for the binaries, the engine and the images.
func (w *world) findTools() (err error) {
	if w.bin, err = trial.Binaries("../../bin"); err != nil {
		return err
	}
	return trial.Engine()
}

func (w *world) startUpstreams() (err error) {
	for _, address := range []string{upstreamAddress, innerAddress, nobodysAddress} {
		giveBack, err := upstream.Borrow(address)
		if err != nil {
			return err
		}
		w.later(giveBack)
	}
	w.port = "443"
	if l, err := net.Listen("tcp", upstreamAddress+":443"); err == nil {
		_ = l.Close()
	} else if errors.Is(err, os.ErrPermission) {
		w.port = "8443"
	}
	begin := func(address, name string) (*upstream.Server, error) {
		dir := filepath.Join(w.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
		return upstream.Start(upstream.Config{
			Listen: net.JoinHostPort(address, w.port), Names: []string{"*.demo.example", "api.anthropic.com", "api.openai.com"}, Dir: dir, KeepBody: 1 << 20, Handlers: w.handlers(),
		})
	}
	if w.upstream, err = begin(upstreamAddress, "upstream"); err != nil {
		return err
	}
	w.later(w.upstream.Close)
	if w.inner, err = begin(innerAddress, "inner"); err != nil {
		return err
	}
	w.later(w.inner.Close)
	port, _ := strconv.Atoi(w.port)
	if w.nobody, err = upstream.NewTripwire(nobodysAddress, port); err != nil {
		return err
	}
	w.later(w.nobody.Close)
	if w.host, err = upstream.NewTripwire("0.0.0.0", 0); err != nil {
		return err
	}
	w.later(w.host.Close)
	return nil
}

// later registers what undoes a step; [world.close] undoes the last step first.
func (w *world) later(f func() error) { w.undo = append(w.undo, f) }

var closing sync.Once

// close ends everything and reports what should not be left.
func (w *world) close() (err error) {
	closing.Do(func() {
		if w.argv != nil {
			err = errors.Join(err, w.argv.verdict())
		}
		for i := len(w.undo) - 1; i >= 0; i-- {
			err = errors.Join(err, w.undo[i]())
		}
	})
	return err
}

func digits(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)[:n]
}
