package smolvm

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/launcher/internal/smolfile"
)

func expected() Expect {
	return Expect{
		Name: "demo-abcde", Link: Link{Gateway: "10.213.1.1"},
		File: smolfile.File{
			Entrypoint: []string{"/bottle/guestinit"}, Cmd: []string{"service"}, CPUs: 2, Memory: 1024, Storage: 20, Overlay: 2,
			Volumes: []string{"./share:/bottle:ro"}, Network: &smolfile.Network{AllowCIDRs: []string{"10.213.1.2/32"}},
		},
	}
}

// told is a status that is right.
func told() map[string]any {
	return map[string]any{
		"name": "demo-abcde", "state": "running", "cpus": 2, "memory_mib": 1024, "pid": 42, "mounts": 1, "ports": 0, "network": true, "ephemeral": false,
		"storage_gb": 20, "overlay_gb": 2, "image": "local:sha256:abc", "entrypoint": []string{"/bottle/guestinit"}, "cmd": []string{"service"},
		"created_at": 1, "gpu": false, "gpu_vram_mib": nil, "health_cmd": nil, "restart_policy": "never", "restart_count": 0, "labels": map[string]any{},
	}
}

func TestCompare(t *testing.T) {
	data, err := json.Marshal(told())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := expected().Compare("running", data); err != nil || s.PID != 42 {
		t.Errorf("%+v, %v", s, err)
	}
	for key := range expected().fields("running") { // what is not told is not proven
		m := told()
		delete(m, key)
		data, _ := json.Marshal(m)
		if _, err := expected().Compare("running", data); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("without %s: %v", key, err)
		}
	}
	for _, tc := range []struct {
		key   string
		value any
		ok    bool
	}{
		{"name", "demo-other", false}, {"state", "created", false}, {"cpus", 4, false}, {"memory_mib", 8192, false}, {"mounts", 0, false},
		{"ports", 1, false}, {"ports", nil, false}, {"network", "true", false}, {"ephemeral", true, false}, {"image", "alpine", false}, {"image", nil, false},
		{"image", "local:", false}, {"entrypoint", []string{"/bin/sh"}, false}, {"cmd", nil, false}, {"cmd", []string{"service", "x"}, false},
		{"gpu", true, false}, {"restart_policy", "always", false}, {"network_backend", "tsi", false}, {"network_backend", "virtio-net", true},
		{"dns", "1.1.1.1", false}, {"dns", "10.213.1.1", true}, {"dns", nil, true}, {"allowed_cidrs", []string{"10.213.1.2/32"}, true},
		{"allowed_cidrs", []string{"10.213.1.2/32", "0.0.0.0/0"}, false}, {"ssh_agent", true, false}, {"ssh_agent", false, true},
		{"secret_refs", map[string]any{"A": 1}, false}, {"published", []string{"x"}, false}, {"docker_socket", "yes", false}, {"network_name", "shared", false},
	} {
		m := maps.Clone(told())
		m[tc.key] = tc.value
		data, _ := json.Marshal(m)
		if _, err := expected().Compare("running", data); (err == nil) != tc.ok {
			t.Errorf("%s = %v: %v", tc.key, tc.value, err)
		}
	}
}

func FuzzCompare(f *testing.F) {
	data, _ := json.Marshal(told())
	f.Add(data)
	f.Add([]byte(`{"name":[]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := expected().Compare("running", data)
		if err == nil && s.Fields["name"] != "demo-abcde" {
			t.Errorf("%s is taken for the machine", data)
		}
	})
}

func TestParseVersion(t *testing.T) {
	for out, want := range map[string]string{"smolvm 1.23.0\n": "1.23.0", "smolvm v1.2.3": "1.2.3", "smolvm 1.23.0-rc1": "1.23.0", "1.23.0": "", "smolvm": "", "smolvm 1.2": "", "other 1.2.3": ""} {
		if v, err := ParseVersion(out); (err == nil) != (want != "") || err == nil && v.String() != want {
			t.Errorf("%q: %s, %v", out, v, err)
		}
	}
	for _, tc := range []struct {
		a, b Version
		want bool
	}{{Version{1, 13, 9}, MinVersion, true}, {Version{1, 14, 0}, MinVersion, false}, {Version{2, 0, 0}, MinVersion, false}, {Version{1, 2, 3}, Version{1, 2, 4}, true}} {
		if tc.a.Before(tc.b) != tc.want {
			t.Errorf("%s before %s is not %v", tc.a, tc.b, tc.want)
		}
	}
}

// Nothing that is secret, and nothing of the operator's, is on a command line or in
// the environment.
func TestPlan(t *testing.T) {
	t.Setenv("OPERATORS", "hunter2")
	p := Plan{Name: "demo-abcde", Link: Link{Gateway: "10.213.1.1"}, Rootfs: "/opt/rootfs", Libs: "/opt/lib"}
	env := strings.Join(p.Env(), "\n")
	if strings.Contains(env, "hunter2") || !strings.Contains(env, "HOME=/mnt/bottle/home\n") || !strings.HasSuffix(env, "SMOLVM_AGENT_ROOTFS=/opt/rootfs\nSMOLVM_LIB_DIR=/opt/lib") {
		t.Error(env)
	}
	if m := MissingFlags("  -n, --name <NAME>\n  --image=X --smolfile, --net-backend --dns"); len(m) != 1 || m[0] != "--expose-socket" {
		t.Errorf("missing: %v", m)
	}
}
