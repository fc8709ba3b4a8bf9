//go:build linux

package probe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/bottlesuite/bottle/internal/wire"
)

// run makes tasks and returns what is reported, by id.
func run(t *testing.T, together bool, tasks ...wire.ProbeTask) map[string]wire.ProbeReport {
	t.Helper()
	in, err := json.Marshal(wire.ProbeJob{Version: wire.Version, Tasks: tasks, Together: together})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Run(t.Context(), bytes.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	reports := map[string]wire.ProbeReport{}
	last := ""
	for line := range bytes.Lines(out.Bytes()) {
		var r wire.ProbeReport
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		reports[r.ID], last = r, r.ID
	}
	if last != wire.ProbeEnd || len(reports) != len(tasks)+1 {
		t.Fatalf("%d reports, the last is %q", len(reports), last)
	}
	return reports
}

// TestKnocks knocks at doors of which it is known whether they are open.
func TestKnocks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		line, _ := bufio.NewReader(c).ReadString('\n')
		said <- line
		_ = c.Close()
	}()
	shut, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = shut.Close()
	r := run(t, true,
		wire.ProbeTask{ID: "tcp", Tool: "tcp", Token: "hello", Targets: []string{l.Addr().String(), shut.Addr().String()}},
		wire.ProbeTask{ID: "none", Tool: "no such tool"},
	)
	if seen := r["tcp"].Seen; len(seen) != 2 || !seen[0].Open || seen[1].Open || seen[1].What != "ECONNREFUSED" {
		t.Errorf("%+v", seen)
	}
	if got := <-said; got != "hello\n" {
		t.Errorf("the listener heard %q", got)
	}
	if r["none"].Unmade == "" {
		t.Error("a tool that there is not was used")
	}
}

// TestConverse says bytes to a server that shows them.
func TestConverse(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(wire.DenyHeader, "path_not_allowed")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"request_id": "` + strings.TrimPrefix(r.URL.Path, "/") + `"}`))
	}))
	defer s.Close()
	r := run(t, false, wire.ProbeTask{ID: "two", Tool: "web", Web: &wire.ProbeWeb{
		Dial: s.Listener.Addr().String(), Mark: []byte("GET /mark HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
		Send: []byte("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
	}})["two"]
	if len(r.Web) != 2 || r.Web[0].RequestID != "a" || r.Web[1].RequestID != "b" || r.Web[1].Reason != "path_not_allowed" || r.Web[1].Status != 403 {
		t.Errorf("%+v", r)
	}
}

// TestFrames: what is written by hand reads as was meant.
func TestFrames(t *testing.T) {
	long := strings.Repeat("x", 5000)
	var got []string
	dec := hpack.NewDecoder(4096, func(f hpack.HeaderField) { got = append(got, f.Name+": "+f.Value) })
	want := []string{":method: GET", ":authority: a.example:1", "x-long: " + long}
	if _, err := dec.Write(literals(want)); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %.200q", err, got)
	}
}

// TestNames reads answers of DNS.
func TestNames(t *testing.T) {
	q := question("a.example", types["TXT"])
	nx := append(bytes.Clone(q), 0)
	nx[3] = 3
	full := bytes.Clone(q)
	full[7] = 1
	for _, c := range []struct {
		reply []byte
		open  bool
		what  string
	}{{nx, false, "NXDOMAIN"}, {full, true, "NOERROR with 1 records"}, {q, true, "NOERROR"}, {nil, true, "an answer that is no DNS"}} {
		if open, what := read(c.reply); open != c.open || what != c.what {
			t.Errorf("%v %q, want %v %q", open, what, c.open, c.what)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(question("a.example", 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		if open, what := read(data); what == "" || len(data) < 12 && !open {
			t.Errorf("%v %q", open, what)
		}
	})
}

// TestWrites changes nothing where it can write.
func TestWrites(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, true, wire.ProbeTask{ID: "w", Tool: "write", Token: "t", Targets: []string{file, dir, filepath.Join(dir, "none")}},
		wire.ProbeTask{ID: "r", Tool: "read", Targets: []string{file, dir, "/dev/null"}})
	if s := r["w"].Seen; !s[0].Open || !s[1].Open || s[2].Open {
		t.Errorf("%+v", s)
	}
	if s := r["r"].Seen; !s[0].Open || !s[1].Open || s[2].Open {
		t.Errorf("%+v", s)
	}
	data, err := os.ReadFile(file)
	left, _ := os.ReadDir(dir)
	if err != nil || string(data) != "kept" || len(left) != 1 {
		t.Errorf("the file holds %q, the directory %d entries", data, len(left))
	}
}

// TestFacts: each fact is to be had on this machine.
func TestFacts(t *testing.T) {
	for _, fact := range []string{"status", "mounts", "routes", "namespaces", "addresses"} {
		if r := run(t, false, wire.ProbeTask{ID: fact, Tool: "facts", Targets: []string{fact}})[fact]; r.Unmade != "" || len(r.Facts) == 0 {
			t.Errorf("%s: %+v", fact, r)
		}
	}
}

// TestRefusesAnotherVersion: a job that it does not know is not half made.
func TestRefusesAnotherVersion(t *testing.T) {
	var out bytes.Buffer
	for _, job := range []string{`{"version": 99, "tasks": []}`, `{"version": 1, "tasks": [], "more": 1}`, `rubbish`} {
		if err := Run(t.Context(), strings.NewReader(job), &out); err == nil {
			t.Errorf("%s was taken", job)
		}
	}
}

// TestHarvest brings out what the process itself was given, and files.
func TestHarvest(t *testing.T) {
	const given = "HARVEST_CHILD"
	if dir := os.Getenv(given); dir != "" {
		if err := harvestFrom(dir, os.Stdout); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("a-value-in-a-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^TestHarvest$")
	cmd.Env = append(os.Environ(), given+"="+dir, "LEAK=a-value-in-the-environment")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"LEAK=a-value-in-the-environment", "\n\"" + dir + "/f\"\na-value-in-a-file", HarvestEnd} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%d bytes came out, without %q", len(out), want)
		}
	}
}
