package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeManifest writes the demo's bottle and agent into a home.
func (d *demo) writeManifest(home, dir string) error {
	roots, err := os.ReadFile(d.upstream.CAFile())
	if err != nil {
		return err
	}
	var env, routes string
	private := "api.demo.example"
	if r := d.registry; r != nil {
		env = fmt.Sprintf("env: {NPM_CONFIG_REGISTRY: %q}\n", r.url)
		routes = fmt.Sprintf("    - host: %s\n      matches: [{methods: [GET, HEAD]}]\n", r.authority)
		if r.token != "" {
			routes += "      auth: {scheme: Bearer, token_ref: DEMO_REGISTRY_TOKEN}\n"
		}
		if r.private != "" {
			private += ", " + r.host
		}
		roots = append(roots, r.roots...)
	}
	ca := filepath.Join(dir, "extra-ca.pem")
	manifest := fmt.Sprintf(`---
%segress:
  routes:
    - host: %s
      matches:
        - {path: {prefix: /v1/}, methods: [GET, POST]}
      auth: {scheme: Bearer, token_ref: DEMO_TOKEN}
%spipelock:
  hosts: {api.demo.example: %s}
  allow_private: [%s]
  extra_ca: %s
---
# demo
The bottle of the demo.
`, env, d.site("api"), routes, address, private, ca)
	files := map[string][]byte{
		ca:                                     roots,
		filepath.Join(home, "bottles/demo.md"): []byte(manifest),
		filepath.Join(home, "agents/demo.md"):  []byte("---\nbottle: demo\n---\n"),
	}
	for path, data := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// environ is the operator's environment with the tokens.
func (d *demo) environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "DEMO_") {
			env = append(env, kv)
		}
	}
	env = append(env, "DEMO_TOKEN="+d.token)
	if d.registry != nil && d.registry.token != "" {
		env = append(env, "DEMO_REGISTRY_TOKEN="+d.registry.token)
	}
	return env
}
