package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// docker runs the client and returns what it printed.
func docker(args ...string) (string, error) {
	var out, complaint bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out.String(), nil
}

func mustDocker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := docker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// container is the part of `docker inspect` that tests look at.
type container struct {
	ID    string `json:"Id"`
	Name  string
	State struct {
		Pid     int
		Running bool
	}
	Config          struct{ Labels map[string]string }
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress, Gateway string }
	}
}

// containers inspects the containers of an identity, by component.
func containers(t *testing.T, id string) map[string]container {
	t.Helper()
	ids := strings.Fields(mustDocker(t, "ps", "-aq", "--filter", "label=bottle.identity="+id))
	if len(ids) == 0 {
		t.Fatalf("there is no container of %s", id)
	}
	var list []container
	if err := json.Unmarshal([]byte(mustDocker(t, append([]string{"inspect"}, ids...)...)), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]container{}
	for _, c := range list {
		found[c.Config.Labels["bottle.component"]] = c
	}
	return found
}

// remains reports containers, networks and token files of an identity.
func remains(id string) error {
	var errs []error
	for _, list := range [][]string{{"ps", "-aq"}, {"network", "ls", "-q"}, {"volume", "ls", "-q"}} {
		out, err := docker(append(list, "--filter", "label=bottle.identity="+id)...)
		if err == nil && out != "" {
			err = fmt.Errorf("%s left behind, by docker %s: %q", id, list[0], strings.Fields(out))
		}
		errs = append(errs, err)
	}
	for _, dir := range tokenDirs(id) {
		if _, err := os.Lstat(dir); err == nil {
			errs = append(errs, fmt.Errorf("%s left its token files in %s", id, dir))
		}
	}
	return errors.Join(errs...)
}

// tokenDirs are the places where the token files of an identity may be.
func tokenDirs(id string) []string {
	var dirs []string
	for _, root := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if root != "" {
			dirs = append(dirs, filepath.Join(root, fmt.Sprintf("bottle-%d", os.Getuid()), id))
		}
	}
	return dirs
}

// ofHome lists containers and networks of a home, and the identities with state.
func ofHome(t *testing.T, home string) []string {
	t.Helper()
	var left []string
	for _, list := range [][]string{{"ps", "-aq"}, {"network", "ls", "-q"}, {"volume", "ls", "-q"}} {
		left = append(left, strings.Fields(mustDocker(t, append(list, "--filter", "label=bottle.owner="+home)...))...)
	}
	states, _ := filepath.Glob(filepath.Join(home, "state", "*"))
	return append(left, states...)
}
