package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// freePort returns a port of loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestEgressdAlone does what docs/egressd.md says, word for word but for the
// upstream's name and address, and uses the result from the host.
func TestEgressdAlone(t *testing.T) {
	w := need(t)
	if os.Getuid() != 0 {
		t.Skip("the documented commands give files to another user, which root alone may")
	}
	doc, err := os.ReadFile("../../docs/egressd.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/egressd.md has no commands")
	}
	dir := t.TempDir()
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(w.site("api"), ":")
	script := strings.NewReplacer(
		"- host: api.example.com", "- host: "+w.site("api"),
		"api.example.com", name,
		"secrets_dir:", fmt.Sprintf("upstream: {ca: /run/bottle/ca/upstream.pem, hosts: {%s: %s}, allow_private: [%s]}\nsecrets_dir:", name, upstreamAddress, name),
	).Replace(string(block[1]))
	port := freePort(t)
	run := func(script string) (string, error) {
		cmd := exec.Command("sh", "-euc", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "EXAMPLE_TOKEN="+w.token, "BOTTLE_IDENTITY=alone-e2e00", "BOTTLE_EGRESSD_PORT="+port)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(script string) string {
		t.Helper()
		out, err := run(script)
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return out
	}
	must("ln -s " + repository + "/compose compose; mkdir -p trial/ca/egress; cp " + w.upstream.CAFile() + " trial/ca/egress/upstream.pem")
	t.Cleanup(func() {
		if out, err := run("docker compose -f compose/egressd.yaml --project-directory trial down"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	must(script)

	get := func(path string, more ...string) (string, error) {
		return run("curl -sS --max-time 10 -o answer -w '%{http_code}' --proxy http://127.0.0.1:$BOTTLE_EGRESSD_PORT --cacert trial/root.pem " +
			strings.Join(more, " ") + " " + w.url("api", path))
	}
	before := w.upstream.Mark()
	var out string
	for range 50 {
		if out, err = get("/v1/hello"); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if r := sawOne(t, w.upstream, before); out != "200" || r.Header.Get("Authorization") != "Bearer "+w.token {
		t.Errorf("an allowed request: %s", out)
	}
	before = w.upstream.Mark()
	for _, path := range []string{"/admin", "/v1/../admin"} {
		if out, _ := get(path, "--path-as-is"); out != "403" {
			t.Errorf("%s: %s", path, out)
		}
	}
	sawNothing(t, w.upstream, before)
	if left, err := os.ReadFile(filepath.Join(dir, "answer")); err != nil || !strings.Contains(string(left), "ambiguous_path") {
		t.Errorf("the last answer is %s, %v", left, err)
	}
}
