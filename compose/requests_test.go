package compose

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// fullest is a plan with everything that a bottle can have.
func fullest(p *Plan) {
	p.Git, p.Supervise, p.Workspace, p.Runtime = true, true, "/home/op/src", "runsc"
	p.Tokens, p.GitSecrets = []string{"GITHUB_TOKEN"}, []string{"GIT_KEY_APP"}
	p.Hosts = map[string]string{"git.example": "10.1.2.3"}
	p.Env = map[string]string{"PRICE": "$5 ${HOME} $$", "EMPTY": ""}
	p.Resources.CPUs = 1.1 // no float32
}

func requests(t testing.TB, change func(*Plan), edit func([]byte) []byte) (*Creation, error) {
	t.Helper()
	rendered, err := Render(plan(t, change))
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		rendered = edit(rendered)
	}
	return Requests(rendered, "bottle-demo-ab12z", "/state/demo-ab12z", map[string]string{
		"GITHUB_TOKEN_FILE": "/tokens/GITHUB_TOKEN", "GIT_KEY_APP_FILE": "/tokens/GIT_KEY_APP",
	})
}

// What an engine is asked for, word for word. The seccomp profile alone is cut: it
// has a golden file of its own.
func TestRequestsGolden(t *testing.T) {
	for name, change := range map[string]func(*Plan){
		"requests": fullest,
		"requests-machine": func(p *Plan) {
			p.Machine, p.Supervise = true, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := requests(t, change, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.Containers {
				for j, o := range c.Containers[i].Body.HostConfig.SecurityOpt {
					if o == SeccompOption() {
						c.Containers[i].Body.HostConfig.SecurityOpt[j] = "seccomp=(the bottle's profile)"
					}
				}
			}
			got, err := json.MarshalIndent(c, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden.json", append(got, '\n'))
		})
	}
}

// A setting that would be dropped on the way to the engine is refused, whichever
// part of the file it stands in.
func TestRequestsRefuseWhatTheyDoNotKnow(t *testing.T) {
	for want, change := range map[string][2]string{
		"sets Privileged":                     {"    init: true\n", "    init: true\n    privileged: true\n"},
		"sets StdinOpen":                      {"    init: true\n", "    init: true\n    stdin_open: true\n"},
		"sets ContainerName":                  {"    init: true\n", "    init: true\n    container_name: xy\n"},
		"sets CapAdd":                         {"    init: true\n", "    init: true\n    cap_add: [NET_ADMIN]\n"},
		"sets WorkingDir":                     {"    init: true\n", "    init: true\n    working_dir: /x\n"},
		"sets Ports":                          {"    init: true\n", "    init: true\n    ports: ['127.0.0.1:1:1']\n"},
		"another seccomp profile":             {"seccomp=./config/seccomp.json", "seccomp=unconfined"},
		"health check of":                     {"      interval: 1m0s\n", "      interval: 1m0s\n      start_period: 1s\n"},
		"network inside sets Attachable":      {"networks:\n  inside:\n", "networks:\n  inside:\n    attachable: true\n"},
		"joins inside in a way":               {"        ipv4_address: 10.213.7.78\n", "        ipv4_address: 10.213.7.78\n        mac_address: 02:42:ac:11:00:01\n"},
		"is no bind mount of what must be":    {"create_host_path: false", "create_host_path: true"},
		"mounts ./config/prompt.md in a way":  {"target: /etc/bottle/prompt.md\n", "target: /etc/bottle/prompt.md\n        consistency: cached\n"},
		"asks for more of its addresses":      {"- subnet: 10.213.7.64/28\n", "- subnet: 10.213.7.64/28\n          gateway: 10.213.7.65\n"},
		"has no file at an absolute path":     {"${GITHUB_TOKEN_FILE:?path of a file that holds GITHUB_TOKEN, mode 0400}", "./token"},
		"required variable GITHUB_TOKEN_FILX": {"${GITHUB_TOKEN_FILE:", "${GITHUB_TOKEN_FILX:"},
	} {
		_, err := requests(t, fullest, func(rendered []byte) []byte {
			if !strings.Contains(string(rendered), change[0]) {
				t.Fatalf("%q is not in the file:\n%s", change[0], rendered)
			}
			return []byte(strings.Replace(string(rendered), change[0], change[1], 1))
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func TestNanoIsWhatWasWritten(t *testing.T) {
	for cpus, want := range map[float32]int64{0.1: 100000000, 0.5: 500000000, 1.1: 1100000000, 2: 2000000000, 2.333: 2333000000} {
		if got := nano(cpus); got != want {
			t.Errorf("%v CPUs became %d", cpus, got)
		}
	}
}

// Every field of a service is either passed on or refused: a copy with all of them
// set leaves nothing that is silently gone.
func TestLeftOfForgetsOnlyWhatIsPassedOn(t *testing.T) {
	if err := known("service x", leftOf(types.ServiceConfig{ContainerSpec: types.ContainerSpec{Umask: new(uint32)}})); err == nil {
		t.Error("a umask is dropped")
	}
}

func BenchmarkRequests(b *testing.B) {
	rendered, err := Render(plan(b, func(p *Plan) { p.Supervise = true }))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Requests(rendered, "bottle-demo-ab12z", "/state", nil); err != nil {
			b.Fatal(err)
		}
	}
}
