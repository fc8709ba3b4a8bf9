package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/testkit"
)

// TestEgressdAlone does what docs/egressd.md says, word for word but for the
// upstream's name and address, and uses the result from the host.
func TestEgressdAlone(t *testing.T) {
	w := need(t)
	if os.Getuid() != 0 {
		t.Skip("the documented commands give files to another user, which root alone may")
	}
	name, _, _ := strings.Cut(w.site("api"), ":")
	d := documented(t, "egressd", []string{
		"- host: api.example.com", "- host: " + w.site("api"),
		"api.example.com", name,
		"secrets_dir:", fmt.Sprintf("upstream: {ca: /run/bottle/ca/upstream.pem, hosts: {%s: %s}, allow_private: [%s]}\nsecrets_dir:", name, upstreamAddress, name),
	}, "EXAMPLE_TOKEN="+w.token, "BOTTLE_IDENTITY=alone-e2e00", "BOTTLE_EGRESSD_PORT="+testkit.FreePort(t))
	d.must("mkdir -p trial/ca/egress; cp " + w.upstream.CAFile() + " trial/ca/egress/upstream.pem")
	d.up()

	get := func(path string, more ...string) (string, error) {
		return d.run("curl -sS --max-time 10 -o answer -w '%{http_code}' --proxy http://127.0.0.1:$BOTTLE_EGRESSD_PORT --cacert trial/root.pem " +
			strings.Join(more, " ") + " " + w.url("api", path))
	}
	before := w.upstream.Mark()
	var out string
	for range 50 {
		var err error
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
	if left, err := os.ReadFile(filepath.Join(d.dir, "answer")); err != nil || !strings.Contains(string(left), "ambiguous_path") {
		t.Errorf("the last answer is %s, %v", left, err)
	}
}
