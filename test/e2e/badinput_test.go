package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadInput: each fault of the operator's ends in one sentence that says where
// or what to do, with status 2, and leaves nothing behind.
func TestBadInput(t *testing.T) {
	w := need(t)
	start := []string{"start", "other", "--yes", "--headless"}
	for _, tc := range []struct {
		what    string
		args    []string
		edit    map[string][2]string // file of the home: what to replace in it by what
		environ []string
		want    []string // parts of the sentence
	}{
		{"unknown key in a bottle", start, map[string][2]string{"bottles/other.md": {"routes:", "rutes:"}}, nil, []string{"bottles/other.md:3:", `"rutes"`, `did you mean "routes"`}},
		{"unknown key in an agent", start, map[string][2]string{"agents/other.md": {"bottle:", "botle:"}}, nil, []string{"agents/other.md:2:", `"botle"`, `did you mean "bottle"`}},
		{"retired key", start, map[string][2]string{"bottles/other.md": {"egress:", "cred_proxy: {}\negress:"}}, nil, []string{"bottles/other.md:2:", "cred_proxy", "egress.routes"}},
		{"missing parent", start, map[string][2]string{"bottles/other.md": {"egress:", "extends: [base]\negress:"}}, nil, []string{"bottles/other.md:2:", `"base" does not exist`, "other"}},
		{"fault in a parent", start, map[string][2]string{"bottles/other.md": {"egress:", "extends: [plain]\negress:"}, "bottles/plain.md": {"allow:", "alow:"}}, nil, []string{"bottles/plain.md:3:", `"alow"`}},
		{"git remote that is none", start, map[string][2]string{"bottles/other.md": {"egress:", "git: [{name: app, upstream: 'ftp://git.example/app.git'}]\negress:"}}, nil, []string{"bottles/other.md:2:", "ftp"}},
		{"key of the wrong kind", start, map[string][2]string{"bottles/other.md": {"egress:", "env: [a]\negress:"}}, nil, []string{"bottles/other.md:2:", "env must be a mapping"}},
		{"no front matter", start, map[string][2]string{"bottles/other.md": {"---\negress", "egress"}}, nil, []string{"bottles/other.md:1:", "front matter"}},
		{"host that is an address", start, map[string][2]string{"bottles/other.md": {"host: " + w.site("open"), "host: 10.1.2.3"}}, nil, []string{"bottles/other.md:4:", "address"}},
		{"missing file of roots", start, map[string][2]string{"bottles/other.md": {w.upstream.CAFile(), "/nonexistent/ca.pem"}}, nil, []string{"bottles/other.md:8:", "/nonexistent/ca.pem"}},
		{"missing bottle", start, map[string][2]string{"agents/other.md": {"bottle: other", "bottle: missing"}}, nil, []string{"agents/other.md:2:", `"missing"`, "other"}},
		{"missing agent", []string{"start", "nobody", "--yes"}, nil, nil, []string{`"nobody"`, "agents/nobody.md", "other"}},
		{"name with a path", []string{"start", "../other", "--yes"}, nil, nil, []string{`"../other"`}},
		{"missing token", []string{"start", "tester", "--yes", "--headless"}, nil, []string{"E2E_TOKEN"}, []string{"bottles/tester.md:9:", "E2E_TOKEN", "export"}},
		{"empty token", []string{"start", "tester", "--yes", "--headless"}, nil, []string{"E2E_TOKEN="}, []string{"bottles/tester.md:9:", "E2E_TOKEN", "export"}},
		{"missing variable of env", []string{"start", "tester", "--yes", "--headless"}, nil, []string{"E2E_HOST_VALUE"}, []string{"bottles/tester.md:2:", "E2E_HOST_VALUE"}},
		{"no engine", start, nil, []string{"DOCKER_HOST=unix:///nonexistent"}, []string{"Docker engine", "make docker"}},
		{"no client", start, nil, []string{"PATH=/nonexistent"}, []string{"docker", "make docker"}},
		{"bad subnet pool", start, nil, []string{"BOTTLE_SUBNET_POOL=10.0.0.0/33"}, []string{"BOTTLE_SUBNET_POOL"}},
		{"nobody to ask", []string{"start", "other", "--headless"}, nil, nil, []string{"--yes"}},
		{"unknown flag", []string{"start", "other", "--yess"}, nil, nil, []string{"yess"}},
		{"unknown command", []string{"strat", "other"}, nil, nil, []string{`"strat"`}},
		{"argument too many", []string{"start", "other", "more", "--yes"}, nil, nil, []string{`"more"`, "--"}},
		{"argument too few", []string{"start", "--yes"}, nil, nil, []string{"AGENT"}},
		{"render without a directory", []string{"render", "other"}, nil, nil, []string{"-o"}},
		{"render into a directory in use", []string{"render", "other", "-o", "/proc"}, nil, nil, []string{"/proc", "empty"}},
		{"exec in what is not there", []string{"exec", "other-00000", "--", "true"}, nil, nil, []string{"other-00000", "launcher list"}},
	} {
		t.Run(tc.what, func(t *testing.T) {
			home := w.newHome(t)
			for file, change := range tc.edit {
				edit(t, filepath.Join(home, file), change[0], change[1])
			}
			r := finish(t, w.operator(home, tc.environ...).Command(t.Context(), tc.args...), "")
			sentence, excerpt, _ := strings.Cut(strings.TrimSuffix(r.Stderr, "\n"), "\n")
			if r.Status != 2 || r.Stdout != "" || sentence == "" || excerpt != "" && !isExcerpt(excerpt) {
				t.Errorf("want status 2 and one sentence, with the line that it is about, got %s", r)
			}
			for _, part := range tc.want {
				if !strings.Contains(sentence, part) {
					t.Errorf("the sentence does not say %q: %s", part, sentence)
				}
			}
			if left := ofHome(t, home); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			noTokensOf(t, home)
		})
	}
}

// isExcerpt reports whether text is a line of a file with a mark below it.
func isExcerpt(text string) bool {
	line, mark, ok := strings.Cut(text, "\n")
	return ok && strings.Contains(line, " | ") && strings.Trim(mark, " |^") == "" && strings.Contains(mark, "^")
}

func edit(t *testing.T, file, old, now string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("%s has no %q to replace", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), old, now, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// noTokensOf checks that no token directory belongs to a home.
func noTokensOf(t *testing.T, home string) {
	t.Helper()
	for _, dir := range tokenDirs("*") {
		owners, _ := filepath.Glob(filepath.Join(dir, ".owner"))
		for _, file := range owners {
			if owner, err := os.ReadFile(file); err == nil && string(owner) == home {
				t.Errorf("token files are left in %s", filepath.Dir(file))
			}
		}
	}
}

// TestDryRunStartsNothing shows what a bottle could reach.
func TestDryRunStartsNothing(t *testing.T) {
	w := need(t)
	home := w.newHome(t)
	r := w.run(t, home, "start", "tester", "--dry-run")
	for _, part := range []string{w.site("api"), "/v1/", "POST", "E2E_TOKEN", w.site("open")} {
		if !strings.Contains(r.Stdout, part) {
			t.Errorf("the sheet does not say %q", part)
		}
	}
	if r.Status != 0 || strings.Contains(r.Stdout+r.Stderr, w.token) {
		t.Errorf("it ended with %s", r)
	}
	if left := ofHome(t, home); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
