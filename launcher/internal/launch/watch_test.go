package launch

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// up is a bottle whose containers all run.
func up() []engine.Container {
	cs, _, _ := standing()
	for i := range cs {
		cs[i].State.Running = true
		cs[i].Config.Labels[engine.LabelIdentity] = "demo-abcde"
	}
	return cs
}

func TestMissing(t *testing.T) {
	for name, c := range map[string]struct {
		change          func([]engine.Container) []engine.Container
		component, what string
	}{
		"all there": {func(cs []engine.Container) []engine.Container { return cs }, "", ""},
		"crashed": {func(cs []engine.Container) []engine.Container {
			cs[1].State.Running, cs[1].State.ExitCode = false, 2
			return cs
		}, "egressd", "ended with status 2"},
		"out of memory": {func(cs []engine.Container) []engine.Container {
			cs[2].State.Running, cs[2].State.OOMKilled = false, true
			return cs
		}, "pipelockd", "ran out of memory and was killed"},
		"a process of it": {func(cs []engine.Container) []engine.Container { // the kernel killed one, and it lives
			cs[0].State.OOMKilled = true
			return cs
		}, "", ""},
		"paused":  {func(cs []engine.Container) []engine.Container { cs[2].State.Paused = true; return cs }, "pipelockd", "was paused"},
		"removed": {func(cs []engine.Container) []engine.Container { return cs[:2] }, "pipelockd", "was removed"},
		"agent": {func(cs []engine.Container) []engine.Container {
			cs[0].State.Running, cs[0].State.ExitCode = false, 137
			return cs
		}, "agent", "ended with status 137"},
	} {
		if component, what := missing(parts{routes: true}, c.change(up())); component != c.component || what != c.what {
			t.Errorf("%s: got %q, %q", name, component, what)
		}
	}
	if component, what := missing(parts{}, up()[1:]); component != "agent" {
		t.Errorf("without routes: %q, %q", component, what)
	}
}

// pretend makes an engine that tells of containers, on a socket.
func pretend(t *testing.T, cs []engine.Container) *engine.Engine {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		_, name, _ := strings.Cut(r.URL.Path, "/containers/")
		switch id, _, one := strings.Cut(name, "/"); {
		case one:
			i, _ := strconv.Atoi(id)
			_ = json.NewEncoder(w).Encode(cs[i])
		case name == "json":
			var list []map[string]string
			for i := range cs {
				list = append(list, map[string]string{"Id": strconv.Itoa(i)})
			}
			_ = json.NewEncoder(w).Encode(list)
		}
	}))
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return engine.New(func(k string) string { return map[string]string{"PATH": dir, "DOCKER_HOST": "unix://" + socket}[k] })
}

func TestStanding(t *testing.T) {
	cs := up()
	cs[2].State.Running, cs[2].State.ExitCode = false, 137
	h := &Host{Engine: pretend(t, cs)}
	all := []bottle.Metadata{
		{Identity: "demo-abcde", State: bottle.StateRunning, CA: map[string]string{"egress": "x"}},
		{Identity: "other-abcde", State: bottle.StateRunning},
		{Identity: "old-abcde", State: bottle.StateStopped},
	}
	conditions, err := h.Standing(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	if all[0].State != "degraded" || all[0].Failure != "pipelockd ended with status 137" {
		t.Errorf("with a dead sidecar: %+v", all[0])
	}
	if all[1].State != "degraded" || all[1].Failure != "pipelockd was removed" || all[2].State != "stopped" {
		t.Errorf("the others: %+v", all[1:])
	}
	if c := conditions["demo-abcde"]; c["pipelockd"] != "ended with status 137" || c["agent"] != "running" {
		t.Errorf("its containers: %v", c)
	}
	good := []bottle.Metadata{{Identity: "demo-abcde", State: bottle.StateRunning}}
	if _, err := (&Host{Engine: pretend(t, up())}).Standing(t.Context(), good); err != nil || good[0].State != "running" {
		t.Errorf("a bottle that stands: %+v, %v", good, err)
	}
	// Nothing is asked about what is stopped, and the recorded state stays
	// where the engine does not tell.
	none := &Host{Engine: engine.New(func(string) string { return "" })}
	if _, err := none.Standing(t.Context(), all[2:]); err != nil {
		t.Error(err)
	}
	if _, err := none.Standing(t.Context(), good); err == nil || good[0].State != "running" {
		t.Errorf("without an engine: %+v, %v", good, err)
	}
}
