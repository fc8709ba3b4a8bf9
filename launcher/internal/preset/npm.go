package preset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// npm asks npm for its registry and those of scopes.
func npm(ctx context.Context, m *Machine) (*Preset, error) {
	out, err := m.Run(ctx, "npm", "config", "ls", "-l")
	if err != nil {
		return nil, fmt.Errorf("npm cannot be asked for its registry: %w", err)
	}
	return readNPM(string(out))
}

// npmKeys reads the registries in the output of `npm config ls -l`: lines of
// "key = JSON", with a semicolon before what another line overrides. (With --json
// npm is silent about a URL that holds a password, and a scope without its
// registry would be looked for in the public one.)
func npmKeys(config string) (map[string]string, error) {
	keys := map[string]string{}
	for line := range strings.Lines(config) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
		scope, scoped := strings.CutSuffix(key, ":registry")
		if !ok || key != "registry" && !(scoped && strings.HasPrefix(scope, "@")) {
			continue
		}
		if scoped && !isScope(scope) {
			return nil, fmt.Errorf("npm has a registry for %q, which is not a scope; remove it from its configuration", scope)
		}
		var address string
		if err := json.NewDecoder(strings.NewReader(value)).Decode(&address); err != nil {
			return nil, fmt.Errorf("npm does not tell its %s; `npm config ls -l` shows what it says", key)
		}
		keys[key] = address
	}
	if keys["registry"] == "" {
		return nil, errors.New("npm has no registry; set one with `npm config set registry URL`")
	}
	return keys, nil
}

// readNPM reads the output of `npm config ls -l`.
func readNPM(config string) (*Preset, error) {
	keys, err := npmKeys(config)
	if err != nil {
		return nil, err
	}
	p := &Preset{Env: map[string]string{
		// These ask for more than reading, or for other hosts.
		"NPM_CONFIG_AUDIT": "false", "NPM_CONFIG_FUND": "false", "NPM_CONFIG_UPDATE_NOTIFIER": "false",
	}}
	clean, err := p.addRegistry("npm's registry", keys["registry"])
	if err != nil {
		return nil, err
	}
	p.Env["NPM_CONFIG_REGISTRY"] = clean
	var rc strings.Builder
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if key == "registry" {
			continue
		}
		clean, err := p.addRegistry("npm's "+key, keys[key])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&rc, "%s=%s\n", key, clean)
	}
	if rc.Len() > 0 { // no variable's name can hold a scope
		p.Files = map[string][]byte{"npmrc": []byte(rc.String())}
		p.Env["NPM_CONFIG_GLOBALCONFIG"] = Dir + "/npmrc"
	}
	return p, nil
}

func (p *Preset) addRegistry(source, raw string) (clean string, err error) {
	s, u, err := parseSite(source, raw)
	if err != nil {
		return "", err
	}
	s.EncodedSlash = true
	p.Sites = append(p.Sites, s)
	return u.String(), nil
}

// isScope takes "@name" in the bytes that npm gives to names.
func isScope(s string) bool {
	name, ok := strings.CutPrefix(s, "@")
	return ok && name != "" && strings.IndexFunc(name, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.~", c))
	}) < 0
}
