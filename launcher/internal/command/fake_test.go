package command

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/bottlesuite/bottle/compose"
)

// fakeEngine is the engine behind the docker that pretends (testdata/fake/docker),
// which runs it for `docker system dial-stdio`: it answers on its standard output.
// DOCKER_CONTEXT says how it misbehaves, the files of DOCKER_CONFIG are what it
// remembers, because every connection has an engine of its own.
type fakeEngine struct{ mode, dir string }

func runFakeEngine() {
	f := fakeEngine{os.Getenv("DOCKER_CONTEXT"), os.Getenv("DOCKER_CONFIG")}
	for in := bufio.NewReader(os.Stdin); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, _ := io.ReadAll(r.Body)
		f.append("calls", fmt.Sprintf("%s %s %s\n", r.Method, r.URL.Path, body))
		if strings.HasSuffix(r.URL.Path, "/events") {
			f.events(in)
			return
		}
		status, answer := f.answer(r, body)
		var data []byte
		if answer != nil {
			data, _ = json.Marshal(answer)
		}
		res := http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(data)),
			Header: http.Header{"Api-Version": {"1.41"}}, Body: io.NopCloser(strings.NewReader(string(data))),
		}
		_ = res.Write(os.Stdout)
	}
}

// events tells in the mode lost that pipelockd has died, as soon as somebody
// watches, and otherwise nothing until nobody does any more.
func (f fakeEngine) events(in io.Reader) {
	fmt.Print("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	if f.mode == "lost" {
		f.write("lost", "")
		fmt.Print("3\r\n{}\n\r\n")
	}
	_, _ = io.Copy(io.Discard, in)
}

func (f fakeEngine) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(f.dir, name))
	return strings.TrimSpace(string(data))
}

func (f fakeEngine) has(name string) bool {
	_, err := os.Stat(filepath.Join(f.dir, name))
	return err == nil
}

func (f fakeEngine) write(name, text string) {
	_ = os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600)
}

func (f fakeEngine) append(name, text string) {
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, _ = file.WriteString(text)
		_ = file.Close()
	}
}

type object = map[string]any

func (f fakeEngine) answer(r *http.Request, body []byte) (status int, answer any) {
	_, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	parts := strings.Split(what, "/")
	switch r.Method + " " + parts[0] {
	case "GET ", "GET _ping":
		return 200, "OK"
	case "GET info":
		return 200, object{"ServerVersion": "20.10", "Runtimes": object{"runc": object{}}, "NCPU": 1}
	case "GET images":
		if f.mode == "noimage" {
			return 404, object{"message": "No such image"}
		}
		sum := sha256.Sum256([]byte(strings.TrimSuffix(strings.TrimPrefix(what, "images/"), "/json")))
		return 200, object{"Id": "sha256:" + hex.EncodeToString(sum[:])}
	case "GET networks":
		if state := f.read("state"); r.URL.Query().Get("filters") == "" || state == "down" || state == "volumes" || !f.has("state") {
			return 200, []any{}
		}
		inhibit := "true"
		if f.mode == "hostaddress" {
			inhibit = ""
		}
		return 200, []any{f.network("inside", true, inhibit), f.network("outside", false, "")}
	case "GET volumes":
		if f.read("state") == "down" || !f.has("state") {
			return 200, object{}
		}
		return 200, object{"Volumes": []any{object{
			"Name": compose.HopName(f.read("project")), "Driver": "local", "Options": compose.HopOptions("5:5"),
			"Labels": object{"bottle.component": "hop", "bottle.identity": strings.TrimPrefix(f.read("project"), "bottle-")},
		}}}
	case "DELETE volumes":
		f.write("state", "down")
		return 204, nil
	case "POST volumes", "POST networks":
		return 201, object{"Id": "x"}
	case "DELETE networks":
		f.write("state", "volumes")
		return 204, nil
	case "GET containers":
		return f.look(parts)
	case "POST containers":
		return f.change(parts, body)
	case "DELETE containers":
		f.write("state", "networks")
		return 204, nil
	}
	return 501, object{"message": "the fake engine does not know " + r.Method + " " + r.URL.Path}
}

func (f fakeEngine) look(parts []string) (int, any) {
	if parts[1] != "json" {
		switch parts[1] {
		case "egressd":
			return 200, f.container("egressd", "5:5", true, "inside")
		case "pipelockd":
			return 200, f.container("pipelockd", "5:5", true, "outside")
		}
		return 200, f.container("agent", "agent", false, "inside")
	}
	if f.read("state") != "up" {
		return 200, []any{}
	}
	return 200, []any{object{"Id": "egressd"}, object{"Id": "pipelockd"}, object{"Id": "agent"}}
}

func (f fakeEngine) change(parts []string, body []byte) (int, any) {
	switch parts[len(parts)-1] {
	case "create":
		var c compose.ContainerBody
		if err := json.Unmarshal(body, &c); err != nil {
			return 400, object{"message": err.Error()}
		}
		dir := c.Labels["com.docker.compose.project.working_dir"]
		f.write("project", c.Labels["com.docker.compose.project"])
		f.write("bundle", dir)
		f.write("state", "up")
		if known, err := os.ReadFile(filepath.Join(dir, "ca/pipelock/known.yaml")); err == nil {
			f.write("known", string(known))
		}
		return 201, object{"Id": path.Base(parts[0])}
	case "start":
		service := strings.TrimSuffix(strings.TrimPrefix(parts[1], f.read("project")+"-"), "-1")
		if service == "pipelock" && f.mode == "upfails" {
			return 500, object{"message": "no space left"}
		}
		if service != "agent" && !(service == "pipelock" && f.mode == "dies") {
			f.serves(service)
		}
		return 204, nil
	}
	return 204, nil // stop
}

// serves writes what a sidecar writes when it is ready.
func (f fakeEngine) serves(service string) {
	dir := f.read("bundle")
	config, err := os.ReadFile(filepath.Join(dir, "config", service+"d.yaml"))
	if err != nil {
		return
	}
	sum := sha256.Sum256(config)
	line := fmt.Sprintf(`{"event":"start","detail":"configuration %x"}`+"\n", sum)
	fakeEngine{dir: filepath.Join(dir, "audit", service)}.append(service+"d.jsonl", line)
}

func (f fakeEngine) container(component, user string, readOnly bool, networks ...string) object {
	running, drop := true, []string{"ALL"}
	options := []string{"no-new-privileges:true", compose.SeccompOption()}
	if component == "agent" && f.mode == "seccomp" {
		options = options[:1]
	}
	if component == "agent" && f.mode == "capabilities" {
		drop = nil
	}
	if component == "pipelockd" && (f.mode == "dies" || f.has("lost")) {
		running = false
	}
	on := object{}
	for _, n := range networks {
		on[n] = object{"NetworkID": n}
	}
	project := f.read("project")
	mounts := []any{}
	if component != "agent" {
		mounts = append(mounts, object{"Type": "volume", "Name": compose.HopName(project), "Destination": compose.HopDir, "RW": component == "pipelockd"})
	}
	return object{
		"Id": component, "Name": "/" + project + "-" + strings.TrimSuffix(component, "d") + "-1",
		"State":           object{"Running": running, "ExitCode": 3},
		"Config":          object{"User": user, "Labels": object{"bottle.component": component, "bottle.identity": strings.TrimPrefix(project, "bottle-")}},
		"HostConfig":      object{"CapDrop": drop, "SecurityOpt": options, "ReadonlyRootfs": readOnly, "Sysctls": object{"net.ipv6.conf.all.disable_ipv6": "1"}, "PidsLimit": 9, "Memory": 9},
		"Mounts":          mounts,
		"NetworkSettings": object{"Networks": on},
	}
}

func (f fakeEngine) network(component string, internal bool, inhibit string) object {
	project := f.read("project")
	return object{
		"Id": component, "Name": project + "_" + component, "Driver": "bridge", "Internal": internal,
		"Options": object{"com.docker.network.bridge.inhibit_ipv4": inhibit},
		"Labels":  object{"bottle.component": component, "bottle.identity": strings.TrimPrefix(project, "bottle-")},
	}
}
