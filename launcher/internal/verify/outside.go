package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// outside is looked at by the host alone; nothing of the guest's has a say.
func outside(id, words string, judge func(context.Context, *site) (result, seen string)) *attempt {
	return &attempt{id: id, words: words, users: []string{host},
		plan: func(*view) (wire.ProbeTask, string) { return wire.ProbeTask{}, "" },
		judge: func(e *evidence, p *plan) (string, string) {
			e.site.once.Lock()
			defer e.site.once.Unlock()
			if done, ok := e.site.judged[id]; ok {
				return done[0], done[1]
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			result, seen := judge(ctx, e.site)
			e.site.judged[id] = [2]string{result, seen}
			return result, seen
		}}
}

// sumOf is the SHA-256 of data in hexadecimal.
func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func judgeEngine(ctx context.Context, s *site) (result, seen string) {
	if s.Inspect == nil {
		return Error, "nobody asked the engine"
	}
	if err := s.Inspect(ctx); err != nil {
		return Open, err.Error()
	}
	return Held, fmt.Sprintf("%d containers and %d networks are as they were asked for", len(s.containers), len(s.networks))
}

// binaries of the sidecars in their containers, and their configurations.
var binaries = map[string]string{"egressd": "/egressd", "pipelockd": "/pipelockd", "gitgated": "/gitgated", "superviserd": "/superviserd", "gateway": "/gateway"}

// configOf is the file of a component's configuration in the bottle's directory.
func configOf(component string) string {
	if component == "gateway" {
		return filepath.Join("config", "gateway", "gvproxy.yaml")
	}
	return filepath.Join("config", component+".yaml")
}

// judgePolicy compares what each sidecar says is in force with the file of the
// launcher's.
func judgePolicy(ctx context.Context, s *site) (result, seen string) {
	n := 0
	for component, binary := range binaries {
		c, ok := s.containers[component]
		if !ok {
			continue
		}
		out, err := s.Engine.Status(ctx, strings.TrimPrefix(c.Name, "/"), binary)
		var st wire.Status
		if err != nil || json.Unmarshal(out, &st) != nil {
			return Error, component + " does not tell what is in force"
		}
		data, err := os.ReadFile(filepath.Join(s.Dir, configOf(component)))
		if err != nil {
			return Error, err.Error()
		}
		if st.ConfigSHA256 != sumOf(data) {
			return Open, component + " has another configuration in force than its file"
		}
		n++
	}
	return Held, fmt.Sprintf("%d sidecars have the configuration of their file in force", n)
}

func judgeChain(_ context.Context, s *site) (result, seen string) {
	lines, n := 0, 0
	for component, place := range places {
		if _, ok := s.containers[component]; !ok {
			continue
		}
		report, err := audit.VerifyFiles(filepath.Join(s.Dir, place))
		if err != nil {
			return Open, component + ": " + err.Error()
		}
		lines, n = lines+report.Lines, n+1
	}
	return Held, fmt.Sprintf("%d lines of %d sidecars are whole", lines, n)
}

// judgeSidecarPowers reads what the kernel says of the sidecars' first processes.
func judgeSidecarPowers(_ context.Context, s *site) (result, seen string) {
	if why := s.local(); why != "" {
		return Error, why
	}
	n := 0
	for component, c := range s.containers {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.State.Pid))
		if err != nil {
			return Error, component + " has no process that can be looked at"
		}
		facts := strings.Split(string(data), "\n")
		for name, want := range map[string]string{"CapEff": "", "CapBnd": "", "CapPrm": "", "NoNewPrivs": "1", "Seccomp": "2"} {
			if got := strings.TrimLeft(status(facts, name), "0"); got != want && !(component == agent && s.underGVisor()) {
				return Open, fmt.Sprintf("%s of %s is %s", name, component, status(facts, name))
			}
		}
		if strings.HasPrefix(status(facts, "Uid"), "0") && component != agent {
			return Open, component + " runs as root"
		}
		n++
	}
	return Held, fmt.Sprintf("%d containers, by their first processes", n)
}

func judgeInspect(_ context.Context, s *site) (result, seen string) {
	secrets, err := s.secrets()
	if err != nil {
		return Error, err.Error()
	}
	env := s.containers[agent].Config.Env
	for name, value := range secrets {
		if slices.ContainsFunc(env, func(kv string) bool { return strings.Contains(kv, string(value)) }) {
			return Open, "the environment of the agent's container holds " + name
		}
	}
	return Held, fmt.Sprintf("%d variables hold none of %d secrets", len(env), len(secrets))
}
