package preset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// clientTime is how long a client may take to tell its configuration.
	clientTime = 20 * time.Second
	// maxFile bounds a configuration or a keyring; a larger one is a mistake.
	maxFile = 4 << 20
)

// Here is the machine that this process runs on, with the environment env.
func Here(env map[string]string) *Machine {
	return &Machine{
		Getenv: func(name string) string { return env[name] },
		Run: func(ctx context.Context, name string, args ...string) ([]byte, error) {
			return run(ctx, env, name, args)
		},
		ReadFile: readFile,
		Glob:     filepath.Glob,
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
	}
}

// run runs a client in the root directory, where no project configures it. What
// a client says of an error is not repeated: it may quote its configuration.
func run(ctx context.Context, env map[string]string, name string, args []string) ([]byte, error) {
	path, err := find(env["PATH"], name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clientTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/"
	for k, v := range env {
		if k != "PWD" {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("`%s` failed (%w); run it by hand to see why", strings.Join(append([]string{name}, args...), " "), err)
	}
	return out.Bytes(), nil
}

// find looks for a program in the absolute directories of a PATH.
func find(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if fi, err := os.Stat(file); filepath.IsAbs(dir) && err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", ErrNoClient
}

func readFile(name string) ([]byte, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a plain file of at most 4 MiB", name)
	}
	return os.ReadFile(name)
}

// optional reads a file that need not be there.
func (m *Machine) optional(name string) ([]byte, error) {
	data, err := m.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}
