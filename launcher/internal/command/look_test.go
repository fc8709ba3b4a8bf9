package command

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/bottle"
)

// What the metadata say is what the launcher knew last; list and info ask the
// containers.
func TestListAndInfoLookAtTheContainers(t *testing.T) {
	fake, err := placeFake(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	home := bottle.Home{Dir: t.TempDir()}
	s := home.State("demo-abcde")
	if err := s.Create(); err != nil {
		t.Fatal(err)
	}
	lock, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	m := bottle.Metadata{Version: 1, Identity: "demo-abcde", State: bottle.StateRunning, CA: map[string]string{"egress": "x"}}
	if err := s.WriteMetadata(m); err != nil {
		t.Fatal(err)
	}
	docker := t.TempDir()
	for name, text := range map[string]string{"project": "bottle-demo-abcde\n", "state": "up\n", "lost": ""} {
		if err := os.WriteFile(filepath.Join(docker, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	look := func(args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		env := []string{"BOTTLE_HOME=" + home.Dir, "PATH=" + fake, "DOCKER_CONFIG=" + docker, "DOCKER_HOST=" + fakeHost}
		if err := Run(context.Background(), append([]string{"launcher"}, args...), env, Stdio{Out: &out, Err: &errs}); err != nil {
			t.Fatalf("%v: %s", err, errs.String())
		}
		return strings.Join(strings.Fields(out.String()), " ")
	}
	for want, args := range map[string][]string{
		`degraded`:                           {"list"},
		`"state": "degraded"`:                {"list", "--json"},
		`pipelockd ended with status 3`:      {"info", "demo-abcde"},
		`"pipelockd": "ended with status 3"`: {"info", "--json", "demo-abcde"},
		`"agent": "running"`:                 {"info", "--json", "demo-abcde"},
	} {
		if got := look(args...); !strings.Contains(got, want) {
			t.Errorf("%v: %q is missing from %s", args, want, got)
		}
	}
	if err := os.Remove(filepath.Join(docker, "lost")); err != nil {
		t.Fatal(err)
	}
	if got := look("list", "--json"); !strings.Contains(got, `"state": "running"`) {
		t.Errorf("a bottle that stands: %s", got)
	}
}
