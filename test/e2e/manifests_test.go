package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// site is a name of the upstream as a manifest and a URL write it.
func (w *world) site(name string) string {
	name += ".demo.example"
	if w.port != "443" {
		name += ":" + w.port
	}
	return name
}

// url is an https URL of the upstream.
func (w *world) url(name, path string) string { return "https://" + w.site(name) + path }

// testerBottle is the manifest of the shared bottle. {name} stands for a site,
// <...> for what is known at run time only.
const testerBottle = `---
env: {TZ: UTC, HOST_VALUE: "${E2E_HOST_VALUE}"}
egress:
  routes:
    - host: {api}
      matches:
        - {path: {prefix: /v1/}, methods: [GET, POST, PUT]}
        - {path: {exact: /readonly}, methods: [GET]}
      auth: {scheme: Bearer, token_ref: E2E_TOKEN}
    - host: {basic}
      auth: {scheme: Basic, token_ref: E2E_BASIC}
    - host: {key}
      auth: {scheme: header, header: x-api-key, token_ref: E2E_KEY}
    - host: {open}
    - host: {ws}
      websocket: true
    - host: {inner}
pipelock:
  hosts:
    api.demo.example: <upstream>
    basic.demo.example: <upstream>
    key.demo.example: <upstream>
    open.demo.example: <upstream>
    ws.demo.example: <upstream>
    inner.demo.example: <inner>
  allow_private: [api.demo.example, basic.demo.example, key.demo.example, open.demo.example, ws.demo.example]
  extra_ca: <ca>
resources: {cpus: 1, memory: 1GiB, pids: 256}
---
# tester
What the end-to-end tests may reach.
`

// otherBottle has one route and no credential.
const otherBottle = `---
egress:
  routes:
    - host: {open}
pipelock:
  hosts: {open.demo.example: <upstream>}
  allow_private: [open.demo.example]
  extra_ca: <ca>
---
`

// plainBottle has no routes: pipelockd is the agent's proxy.
const plainBottle = `---
pipelock:
  allow: ["{open}"]
  hosts: {open.demo.example: <upstream>, other.demo.example: <upstream>}
  allow_private: [open.demo.example, other.demo.example]
  extra_ca: <ca>
---
`

// newHome is a home with all bottles, for a test that looks at everything that
// is left in one.
func (w *world) newHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	if err := w.writeManifests(home); err != nil {
		t.Fatal(err)
	}
	return home
}

func (w *world) writeManifests(home string) error {
	for name, bottle := range map[string]string{"tester": testerBottle, "other": otherBottle, "plain": plainBottle} {
		if err := w.writeManifest(home, name, bottle); err != nil {
			return err
		}
	}
	return nil
}

// writeManifest writes a bottle and an agent of the same name into a home.
func (w *world) writeManifest(home, name, bottle string) error {
	var pairs []string
	for _, site := range []string{"api", "basic", "key", "open", "ws", "inner", "git", "pip"} {
		pairs = append(pairs, "{"+site+"}", w.site(site))
	}
	pairs = append(pairs, "<upstream>", upstreamAddress, "<inner>", innerAddress, "<ca>", w.upstream.CAFile())
	files := map[string]string{
		"bottles/" + name + ".md": strings.NewReplacer(pairs...).Replace(bottle),
		"agents/" + name + ".md":  fmt.Sprintf("---\nbottle: %s\n---\nA tester's prompt.\n", name),
	}
	for path, text := range files {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
