package smolvm

import (
	"fmt"
	"path"
	"strings"

	"github.com/bottlesuite/bottle/launcher/internal/guest"
	"github.com/bottlesuite/bottle/launcher/internal/smolfile"
)

// Names in a machine's directory.
const (
	ImageFile  = "image.tar"
	Smolfile   = "Smolfile"
	ShareDir   = "share"
	HomeDir    = "home"
	SocketFile = "exec.sock"
)

// Place is where the holder sees the machine's directory. Unix sockets have short
// paths there, and an unprivileged smolvm finds its way.
const Place = "/mnt/bottle"

// Plan is what a holder is told. It holds no secret.
type Plan struct {
	// Name is the machine's, Program smolvm's file, Dir the machine's directory.
	Name    string `json:"name"`
	Program string `json:"program"`
	Dir     string `json:"dir"`
	// Rootfs and Libs are where smolvm's own files are, "" for its usual places.
	Rootfs string `json:"rootfs,omitempty"`
	Libs   string `json:"libs,omitempty"`
	Link   Link   `json:"link"`
	// UID and GID are who smolvm runs as where the launcher is root; Groups lets it
	// use KVM.
	UID    int   `json:"uid"`
	GID    int   `json:"gid"`
	Groups []int `json:"groups,omitempty"`
}

// Link is the holder's one link.
type Link struct {
	MAC     string `json:"mac"`
	Address string `json:"address"` // with the length of the prefix
	Gateway string `json:"gateway"` // which is also the resolver
	MTU     int    `json:"mtu"`
}

// Create is the command line that makes the machine, without the program. All of
// smolvm's environment and files being the machine's own, nothing else bears on it.
func (p Plan) Create() []string {
	return []string{
		"machine", "create", "--name", p.Name, "--image", "./" + ImageFile, "--smolfile", "./" + Smolfile,
		"--net-backend", "virtio-net", "--dns", p.Link.Gateway,
		"--expose-socket", guest.Socket + ":" + path.Join(Place, SocketFile),
	}
}

// Status is the command line that reads a machine back.
func (p Plan) Status() []string { return []string{"machine", "status", "--name", p.Name, "--json"} }

// Start is the command line that starts it.
func (p Plan) Start() []string { return []string{"machine", "start", "--name", p.Name} }

// Delete is the command line that ends and removes it.
func (p Plan) Delete() []string { return []string{"machine", "delete", "--name", p.Name, "--force"} }

// Env is all of smolvm's environment.
func (p Plan) Env() []string {
	home := path.Join(Place, HomeDir)
	env := []string{
		"HOME=" + home, "XDG_DATA_HOME=" + home + "/data", "XDG_CACHE_HOME=" + home + "/cache", "XDG_CONFIG_HOME=" + home + "/config",
		"XDG_RUNTIME_DIR=" + home, "TMPDIR=" + home, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
	}
	if p.Rootfs != "" {
		env = append(env, "SMOLVM_AGENT_ROOTFS="+p.Rootfs)
	}
	if p.Libs != "" {
		env = append(env, "SMOLVM_LIB_DIR="+p.Libs)
	}
	return env
}

// MinVersion is the first version whose command line and Smolfile are known to be
// those above.
var MinVersion = Version{1, 14, 0}

// Version is major, minor and patch.
type Version [3]int

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// Before reports whether v is older than w.
func (v Version) Before(w Version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// ParseVersion reads what `smolvm --version` prints.
func ParseVersion(out string) (Version, error) {
	var v Version
	rest, ok := strings.CutPrefix(strings.TrimSpace(out), "smolvm ")
	if n, err := fmt.Sscanf(strings.TrimPrefix(rest, "v"), "%d.%d.%d", &v[0], &v[1], &v[2]); !ok || err != nil || n != 3 {
		return Version{}, fmt.Errorf("it says %.80q, which is no version of smolvm", out)
	}
	return v, nil
}

// MissingFlags are those of [Plan.Create] that the help of `machine create` does
// not know.
func MissingFlags(help string) []string {
	known := map[string]bool{}
	for _, word := range strings.FieldsFunc(help, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\t' || r == '=' }) {
		known[word] = true
	}
	var out []string
	for _, a := range (Plan{}).Create() {
		if strings.HasPrefix(a, "--") && !known[a] {
			out = append(out, a)
		}
	}
	return out
}

// Expect is what a machine must be read back as.
type Expect struct {
	Name string
	File smolfile.File
	Link Link
}
