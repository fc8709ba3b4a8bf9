package smolfile

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

const example = `image = "alpine"
entrypoint = ["/app/run"]
cmd = ["serve"]
env = ["A=b"]
workdir = "/app"
cpus = 2
memory = 1024
net = true
ports = ["8080:80"]
volumes = ["./src:/app:ro"]
init = ["echo"]
storage = 20
overlay = 4

[network]
allow_hosts = ["a.example"]
allow_cidrs = ["10.0.0.0/8"]

[health]
exec = ["true"]
interval = "10s"

[restart]
policy = "on-failure"
max_retries = 5

[auth]
ssh_agent = true

[service]
port = 80

[dev]
volumes = ["./x:/x"]

[artifact]
oci_platform = "linux/amd64"

[secrets]
KEY = { from_env = "HOST_KEY" }
`

func TestParse(t *testing.T) {
	f, err := Parse("Smolfile", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if f.Memory != 1024 || f.Network.AllowCIDRs[0] != "10.0.0.0/8" || f.Secrets["KEY"].FromEnv != "HOST_KEY" || !f.Auth.SSHAgent || f.Artifact.OCIPlatform != "linux/amd64" {
		t.Errorf("%+v", f)
	}
	out, err := Marshal(f, "first\nsecond")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again", out)
	if err != nil || !reflect.DeepEqual(f, again) || !strings.HasPrefix(string(out), "# first\n# second\nimage") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"cpus = 2\nmemroy = 5\n":                           `Smolfile:2: there is no key "memroy" in a Smolfile (did you mean "memory"?)`,
		"net = true\n\n[network]\nallow_cidr = []\n":       `Smolfile:4: there is no key "network.allow_cidr" in a Smolfile (did you mean "allow_cidrs"?)`,
		"gpu = true\n":                                     `Smolfile:1: there is no key "gpu" in a Smolfile (did you mean "cpus"?)`,
		"net = true\n[networks]\nallow_hosts = []\n":       `Smolfile:2: there is no key "networks" in a Smolfile (did you mean "network"?)`,
		"cpus = 2\ncpus = 3\n":                             "Smolfile:2: ",
		"cpus = 300\n":                                     "Smolfile:1: ",
		"net = \"yes\"\n":                                  "Smolfile",
		"cpus = = 3\n":                                     "Smolfile:1: ",
		"[secrets]\nK = { from_env = \"A\", value=\"b\" }": `Smolfile:2: there is no key "secrets.K.value"`,
		"[secrets]\nK = {}":                                `the secret K needs either from_env or from_file`,
	} {
		if _, err := Parse("Smolfile", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

func confined() File {
	return File{
		Net: true, Volumes: []string{"./share:/bottle:ro"}, Auth: &Auth{}, Restart: &Restart{Policy: "never"},
		Network: &Network{AllowCIDRs: []string{"10.213.1.2/32"}},
	}
}

func TestConfined(t *testing.T) {
	if err := confined().Confined(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*File){
		"image":        func(f *File) { f.Image = "alpine" },
		"port":         func(f *File) { f.Ports = []string{"80:80"} },
		"init":         func(f *File) { f.Init = []string{"true"} },
		"secret":       func(f *File) { f.Secrets = map[string]Secret{"A": {FromEnv: "A"}} },
		"dev":          func(f *File) { f.Dev = &Dev{} },
		"agent":        func(f *File) { f.Auth.SSHAgent = true },
		"no auth":      func(f *File) { f.Auth = nil },
		"restart":      func(f *File) { f.Restart.Policy = "always" },
		"no network":   func(f *File) { f.Network = nil },
		"no net":       func(f *File) { f.Net = false },
		"name":         func(f *File) { f.Network.AllowHosts = []string{"a.example"} },
		"everything":   func(f *File) { f.Network.AllowCIDRs = nil },
		"range":        func(f *File) { f.Network.AllowCIDRs = []string{"10.213.1.0/28"} },
		"public":       func(f *File) { f.Network.AllowCIDRs = []string{"203.0.113.7/32"} },
		"loopback":     func(f *File) { f.Network.AllowCIDRs = []string{"127.0.0.1/32"} },
		"no address":   func(f *File) { f.Network.AllowCIDRs = []string{"x"} },
		"writable":     func(f *File) { f.Volumes = []string{"./share:/bottle"} },
		"another dir":  func(f *File) { f.Volumes = []string{"/etc:/bottle:ro"} },
		"above":        func(f *File) { f.Volumes = []string{"./../x:/bottle:ro"} },
		"many columns": func(f *File) { f.Volumes = []string{"./a:b:/bottle:ro"} },
	} {
		f := confined()
		change(&f)
		if f.Confined() == nil {
			t.Errorf("%s is taken for confined", name)
		}
	}
}

// A hint names keys that there are.
func TestTablesAreComplete(t *testing.T) {
	for _, k := range keys(File{}) {
		if slices.Contains([]string{"network", "restart", "auth", "health", "service", "dev", "artifact", "secrets"}, k) != (tables[k] != nil) {
			t.Errorf("the table %s has no list of its keys", k)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("[network]\nallow_cidr = []\n"))
	f.Add([]byte("a.b.c = 1\n[[x]]\ny = 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("f", data)
		if err != nil {
			return
		}
		out, err := Marshal(file, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse("again", out); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
}
