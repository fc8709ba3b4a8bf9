// Package mcp holds superviserd against the tools that the makers of MCP publish:
// the inspector and the conformance suite, both npm packages. It skips where npm
// has neither.
package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Versions of the npm packages.
const (
	inspector   = "@modelcontextprotocol/inspector@2.12.0"
	conformance = "@modelcontextprotocol/conformance@0.1.16"
	node        = "node@22"
)

// npx runs a program of a package; it skips when the package cannot be had.
func npx(t *testing.T, pkg string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	if _, err := exec.LookPath("npx"); err != nil {
		t.Skip("there is no npx")
	}
	if out, err := exec.CommandContext(ctx, "npm", "view", pkg, "version").CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) == 0 {
		t.Skipf("npm does not have %s: %s", pkg, out)
	}
	// They want a newer Node than some distributions have; npm brings one along.
	cmd := exec.CommandContext(ctx, "npx", append([]string{"--yes", "-p", node, "-p", pkg}, args...)...)
	cmd.Dir = t.TempDir()
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, complaint.String())
	}
	return out.String(), err
}

// start runs superviserd from the binary that `make build` made.
func start(t *testing.T) (url, dir string) {
	t.Helper()
	bin := os.Getenv("BOTTLE_BIN")
	if bin == "" {
		bin = "../../bin"
	}
	program, err := filepath.Abs(filepath.Join(bin, "superviserd"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("there is no superviserd, run `make build`")
	}
	dir = t.TempDir()
	for _, d := range []string{"proposals", "decisions"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	port, admin := free(t), free(t)
	config := fmt.Sprintf("version: 1\nbottle: demo-abcde\nlisten: {mcp: 'localhost:%s', admin: '127.0.0.1:%s'}\nhosts: [localhost]\n"+
		"queue: {proposals: %[3]s/proposals, decisions: %[3]s/decisions}\nwait: 1s\naudit: {file: %[3]s/audit.jsonl}\n"+
		"policy: {egress: {routes: [{host: api.example}]}}\n", port, admin, dir)
	file := filepath.Join(dir, "superviserd.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(20 * time.Second); exec.Command(program, "--config", file, "healthcheck").Run() != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("superviserd did not start")
		}
	}
	return "http://localhost:" + port + "/", dir
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestInspector(t *testing.T) {
	url, dir := start(t)
	inspect := func(args ...string) map[string]any {
		t.Helper()
		out, err := npx(t, inspector, append([]string{"mcp-inspector", "--cli", url, "--transport", "http"}, args...)...)
		if err != nil {
			t.Fatalf("the inspector: %v\n%s", err, out)
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &v); err != nil {
			t.Fatalf("the inspector printed %s", out)
		}
		return v
	}
	tools := inspect("--method", "tools/list")["tools"].([]any)
	if len(tools) != 6 {
		t.Errorf("the inspector sees %d tools", len(tools))
	}
	r := inspect("--method", "tools/call", "--tool-name", "pipelock-block", "--tool-arg", "host=files.example", "--tool-arg", "justification=To fetch a file.")
	if s := r["structuredContent"].(map[string]any); s["status"] != "pending" {
		t.Errorf("the call returned %v", r)
	}
	if files, _ := os.ReadDir(filepath.Join(dir, "proposals")); len(files) != 1 {
		t.Errorf("the queue holds %v", files)
	}
}

// scenarios are those of the conformance suite that are about what superviserd
// has: a life cycle, tools, and HTTP. The others call tools of a test server.
var scenarios = []string{"server-initialize", "ping", "tools-list", "server-sse-multiple-streams", "dns-rebinding-protection"}

func TestConformance(t *testing.T) {
	url, _ := start(t)
	for _, s := range scenarios {
		out, err := npx(t, conformance, "conformance", "server", "--url", url, "--scenario", s)
		if err != nil {
			t.Errorf("%s: %v\n%s", s, err, out)
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, "Passed") || strings.Contains(line, "passed") {
				t.Logf("%s: %s", s, strings.TrimSpace(line))
			}
		}
	}
}
