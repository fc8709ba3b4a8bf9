package smolvm

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// State is a machine as `smolvm machine status --json` tells of it.
type State struct {
	Fields map[string]any
	// PID is the process of the machine, 0 for none.
	PID int
}

// Compare holds what smolvm tells of a machine against what it was asked for, and
// says what is different. Every key that is known must be there and be right, and a
// key that is not known must say nothing: what a later smolvm switches on by itself
// is for somebody to look at first.
func (e Expect) Compare(state string, data []byte) (State, error) {
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		return State{}, fmt.Errorf("smolvm's status of the machine is not readable: %w", err)
	}
	want := e.fields(state)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[key]
		if !ok {
			return State{}, fmt.Errorf("smolvm does not tell the machine's %s, so it cannot be proven", key)
		}
		if check, ok := want[key].(func(any) bool); ok {
			if check(value) {
				continue
			}
		} else if reflect.DeepEqual(value, want[key]) {
			continue
		}
		return State{}, fmt.Errorf("the machine's %s is %.100s, which was not asked for", key, show(value))
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; ok || said[key] {
			continue
		}
		if check, ok := e.optional()[key]; ok && check(got[key]) {
			continue
		}
		if !nothing(got[key]) {
			return State{}, fmt.Errorf("smolvm tells of the machine's %s: %.100s, which was not asked for", key, show(got[key]))
		}
	}
	s := State{Fields: got}
	if pid, ok := got["pid"].(float64); ok {
		s.PID = int(pid)
	}
	return s, nil
}

// fields are what must be told: a value, or a function that judges it.
func (e Expect) fields(state string) map[string]any {
	number := func(n int) any { return float64(n) }
	return map[string]any{
		"name": e.Name, "state": state, "cpus": number(int(e.File.CPUs)), "memory_mib": number(int(e.File.Memory)),
		"network": true, "mounts": number(len(e.File.Volumes)), "ports": number(0), "ephemeral": false,
		"storage_gb": number(int(e.File.Storage)), "overlay_gb": number(int(e.File.Overlay)),
		"entrypoint": list(e.File.Entrypoint), "cmd": list(e.File.Cmd),
		// An archive of this host: a name would be pulled from a registry.
		"image": func(v any) bool { s, ok := v.(string); return ok && len(s) > 6 && s[:6] == "local:" },
	}
}

// optional are what some versions tell of, and must be right if it is told.
func (e Expect) optional() map[string]func(any) bool {
	is := func(want any) func(any) bool { return func(v any) bool { return reflect.DeepEqual(v, want) } }
	return map[string]func(any) bool{
		"restart_policy":  is("never"),
		"network_backend": is("virtio-net"),
		"dns":             is(e.Link.Gateway),
		"allowed_cidrs":   is(list(e.File.Network.AllowCIDRs)),
		"workdir":         is(e.File.Workdir),
		"gpu":             is(false),
	}
}

// said are keys that change nothing.
var said = map[string]bool{"created_at": true, "pid": true, "started_at": true, "gpu_vram_mib": true, "restart_max_retries": true, "restart_count": true}

// nothing reports whether a value says that something is not there.
func nothing(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func list(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}

func show(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}
