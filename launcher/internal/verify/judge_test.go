package verify

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// room is a bottle with routes, as far as a judge looks.
func room() *site {
	pids := int64(512)
	a := engine.Container{}
	a.HostConfig.PidsLimit = &pids
	a.NetworkSettings.Networks = map[string]engine.Attachment{"i": {NetworkID: "inside", IPAddress: "10.9.9.3"}}
	return &site{
		egress: &wire.Egressd{}, lock: &wire.Pipelockd{}, ear: &ear{}, judged: map[string][2]string{},
		containers: map[string]engine.Container{agent: a}, networks: map[string]engine.Network{"inside": {ID: "inside"}},
	}
}

func byID(t *testing.T, id string) *attempt {
	t.Helper()
	for _, a := range attempts() {
		if a.id == id {
			return a
		}
	}
	t.Fatalf("there is no attempt %s", id)
	return nil
}

const token = "v0000000a001"

func denied(host, path string) audit.Line {
	return audit.Line{Event: "request", Decision: policy.Deny, Reason: "host_not_allowed", Host: host, Path: path}
}

func passed(host, path string) audit.Line {
	return audit.Line{Event: "begin", Decision: policy.Allow, Host: host, Path: path}
}

// TestJudgeProxy: only a line of the audit proves that the proxy refused.
func TestJudgeProxy(t *testing.T) {
	mark := audit.Line{Event: "connect", Decision: policy.Deny, Host: token + markSuffix + ":443"}
	next := audit.Line{Event: "connect", Decision: policy.Deny, Host: "v0000000a002" + markSuffix + ":443"}
	refusal := []wire.ProbeAnswer{{Stage: "answer", Status: 403, Reason: "host_not_allowed", RequestID: "r1"}}
	byRequest := denied("x.example", "/")
	byRequest.RequestID = "r1"
	for name, c := range map[string]struct {
		answers          []wire.ProbeAnswer
		egress, pipelock []audit.Line
		want             string
	}{
		"by its token":                  {refusal, []audit.Line{mark, denied(token+".example", "/")}, nil, Held},
		"by its request":                {refusal, []audit.Line{mark, next, byRequest}, nil, Held},
		"by its place":                  {[]wire.ProbeAnswer{{Stage: "tls"}}, []audit.Line{mark, denied("x.example", "/"), next}, nil, Held},
		"no line":                       {refusal, []audit.Line{mark, next}, nil, Error},
		"no mark":                       {[]wire.ProbeAnswer{{Stage: "tls"}}, []audit.Line{denied("x.example", "/")}, nil, Error},
		"the next one's line":           {[]wire.ProbeAnswer{{Stage: "tls"}}, []audit.Line{mark, next, denied("x.example", "/")}, nil, Error},
		"the mark alone":                {[]wire.ProbeAnswer{{Stage: "tls"}}, []audit.Line{mark}, nil, Error},
		"let through":                   {refusal, []audit.Line{mark, denied(token+".example", "/"), passed("x.example", "/"+token)}, nil, Open},
		"let through by place":          {refusal, []audit.Line{mark, passed("x.example", "/"), next}, nil, Open},
		"let through by the next proxy": {refusal, []audit.Line{mark, denied(token+".example", "/")}, []audit.Line{passed(token+".example", "/")}, Open},
		"answered":                      {[]wire.ProbeAnswer{{Stage: "answer", Status: 200}}, []audit.Line{mark, denied(token+".example", "/")}, nil, Open},
		"one of two answered":           {append([]wire.ProbeAnswer{{Stage: "answer", Status: 204}}, refusal...), []audit.Line{denied(token, "/")}, nil, Open},
		"a tunnel":                      {[]wire.ProbeAnswer{{Stage: "connect", Status: 200}}, []audit.Line{mark, denied(token, "/")}, nil, Open},
		"nothing":                       {nil, nil, nil, Error},
	} {
		t.Run(name, func(t *testing.T) {
			e := &evidence{site: room(), logs: map[string][]audit.Line{"egressd": c.egress, "pipelockd": c.pipelock}}
			p := &plan{attempt: byID(t, "unlisted-host"), user: agent, token: token, task: wire.ProbeTask{Tool: "web", Web: &wire.ProbeWeb{}}, report: &wire.ProbeReport{Web: c.answers}}
			if got, seen := e.judge(p); got != c.want {
				t.Errorf("%s (%s), want %s", got, seen, c.want)
			}
		})
	}
}

// TestUnproven: what was not made, and what nobody told of, never holds.
func TestUnproven(t *testing.T) {
	for _, a := range attempts() {
		for name, p := range map[string]*plan{
			"died":      {died: errors.New("gone")},
			"silent":    {},
			"not made":  {report: &wire.ProbeReport{Unmade: "no"}},
			"empty":     {report: &wire.ProbeReport{}},
			"half told": {report: &wire.ProbeReport{Seen: []wire.ProbeSeen{{Target: "x", What: "EPERM"}}}},
		} {
			if a.users[0] == host {
				continue
			}
			p.attempt, p.user, p.token, p.task = a, agent, token, wire.ProbeTask{Tool: "x", Web: &wire.ProbeWeb{}, Targets: []string{"a", "b"}}
			switch a.id {
			case "secrets":
				p.task.Tool = harvestTool
			case "setuid", "file-capabilities", "device-files", "engine-sockets":
				p.task.Tool = "find"
				if name == "half told" {
					continue // one line is the whole of what a search tells
				}
			}
			if (name == "empty" || name == "half told") && a.id == "routes-6" {
				continue // an empty list is what a guest without IPv6 tells
			}
			if got, seen := (&evidence{site: room()}).judge(p); got == Held {
				t.Errorf("%s, %s: held (%s)", a.id, name, seen)
			}
		}
	}
}

// facts is a judgement by what the kernel tells.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		id    string
		facts []string
		want  string
	}{
		{"capabilities", []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000"}, Held},
		{"capabilities", []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000002000", "CapAmb:\t0000000000000000"}, Open},
		{"no-new-privileges", []string{"NoNewPrivs:\t1"}, Held},
		{"no-new-privileges", []string{"NoNewPrivs:\t0"}, Open},
		{"seccomp", []string{"Seccomp:\t2", "Seccomp_filters:\t1"}, Held},
		{"seccomp", []string{"Seccomp:\t0"}, Open},
		{"process-limit", []string{"512"}, Held},
		{"process-limit", []string{"max"}, Open},
		{"process-limit", []string{"100000"}, Open},
		{"addresses", []string{"lo 127.0.0.1/8", "eth0 10.9.9.3/28"}, Held},
		{"addresses", []string{"lo 127.0.0.1/8", "eth0 10.9.9.3/28", "eth1 172.17.0.2/16"}, Open},
		{"addresses", []string{"lo 127.0.0.1/8"}, Error},
		{"routes-6", []string{"fe80000000000000 02 40 20 80 eth0"}, Open},
		{"setuid", []string{"setuid /usr/bin/su"}, Open},
		{"engine-sockets", []string{"socket /tmp/docker.sock"}, Open},
		{"engine-sockets", []string{"socket /tmp/ssh-x/agent.1"}, Held},
		{"mounts", []string{"1 2 0:1 / / rw - overlay overlay rw", "3 1 254:0 /s/ca/agent /etc/ssl/certs ro,relatime - ext4 /dev/vda rw"}, Held},
		{"mounts", []string{"3 1 254:0 /s/ca/agent /etc/ssl/certs rw,relatime - ext4 /dev/vda rw"}, Open},
		{"mounts", []string{"3 1 254:0 /s/ca/agent /etc/ssl/certs ro - ext4 /dev/vda rw", "4 1 254:0 /etc /mnt ro - ext4 /dev/vda rw"}, Open},
		{"mounts", []string{"3 1 254:0 /s/ca/agent /etc/ssl/certs ro - ext4 /dev/vda rw", "4 1 0:25 /docker.sock /run/docker.sock rw - tmpfs tmpfs rw"}, Open},
		{"mounts", []string{"rubbish"}, Error},
		{"resolvers", []string{"nameserver 127.0.0.11"}, Held},
		{"resolvers", []string{"nameserver 127.0.0.11", "nameserver 203.0.113.1"}, Open},
		{"resolvers", []string{"search ."}, Error},
	} {
		p := &plan{attempt: byID(t, c.id), user: agent, report: &wire.ProbeReport{Facts: c.facts, Seen: []wire.ProbeSeen{{Target: "/", What: "3 files"}}}}
		if got, seen := (&evidence{site: room()}).judge(p); got != c.want {
			t.Errorf("%s of %q: %s (%s), want %s", c.id, c.facts, got, seen, c.want)
		}
	}
}

// TestWords: of the kernel's answers only those hold by which it has refused who asked.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		id, word string
		open     bool
		want     string
	}{
		{"bpf", "EPERM", false, Held}, {"bpf", "ENOSYS", false, Held}, {"bpf", "EINVAL", false, Open}, {"bpf", "EFAULT", false, Open}, {"bpf", "it was allowed", true, Open},
		{"tcp-out", "ENETUNREACH", false, Held}, {"tcp-out", "EHOSTUNREACH", false, Open}, {"tcp-out", wire.ProbeSilence, false, Open}, {"tcp-out", "ECONNREFUSED", false, Open}, {"tcp-out", "connected", true, Open},
		{"read-devices", "ENOENT", false, Held}, {"read-devices", "64 bytes were read", true, Open},
		{"dns-udp", "NXDOMAIN", false, Open}, {"dns-udp", wire.ProbeSilence, false, Error}, {"dns-udp", "NOERROR with 1 records", true, Open},
	} {
		p := &plan{attempt: byID(t, c.id), user: agent, token: token, task: wire.ProbeTask{Targets: []string{"x"}},
			report: &wire.ProbeReport{Seen: []wire.ProbeSeen{{Target: "x", Open: c.open, What: c.word}}}}
		// The engine of this room is elsewhere, so nobody knows of its gateway.
		if got, seen := (&evidence{site: room()}).judge(p); got != c.want {
			t.Errorf("%s, %s: %s (%s), want %s", c.id, c.word, got, seen, c.want)
		}
	}
}

// TestSearcher finds a secret wherever the pieces are cut, and says in which file.
func TestSearcher(t *testing.T) {
	text := "\n\"/proc/1/environ\"\nA=b\x00" + strings.Repeat("x", 3*overlap) + "\n\"/home/agent/.netrc\"\npassword hunter2hunter2 end" + harvestEnd + "2 files\n"
	for size := 1; size < 5000; size += 617 {
		s := &searcher{secrets: map[string][]byte{"TOKEN": []byte("hunter2hunter2"), "OTHER": []byte("not there")}}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			_, _ = s.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		if len(s.found) != 1 || s.found[0] != `TOKEN in "/home/agent/.netrc"` {
			t.Errorf("in pieces of %d: %q", size, s.found)
		}
		if !strings.Contains(string(s.tail), harvestEnd) {
			t.Errorf("in pieces of %d the end is lost", size)
		}
	}
}

// TestReports: what comes from the guest is taken strictly, and its last line
// must be there.
func TestReports(t *testing.T) {
	for text, want := range map[string]bool{
		`{"id":"1","ms":0}` + "\n" + `{"id":"end","ms":0}` + "\n":                       true,
		`{"id":"1","ms":0}` + "\n":                                                      false,
		`{"id":"end","ms":0}` + "\n" + `{"id":"1","ms":0}` + "\n":                       false,
		`{"id":"1","result":"held"}` + "\n" + `{"id":"end","ms":0}` + "\n":              false,
		"rubbish\n" + `{"id":"end","ms":0}` + "\n":                                      false,
		`{"id":"2","ms":0}` + "\n" + `{"id":"1","ms":0}` + "\n" + `{"id":"end"}` + "\n": true,
	} {
		if got := readReports(strings.NewReader(text), map[string]*plan{"1": {}}); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	first := &plan{}
	readReports(strings.NewReader(`{"id":"1","unmade":"a"}`+"\n"+`{"id":"1","unmade":"b"}`+"\n"), map[string]*plan{"1": first})
	if first.report == nil || first.report.Unmade != "a" {
		t.Error("a later report took the place of the first")
	}
}

// TestLimited: a guest cannot make the launcher hold more than a bound, in whichever
// way the bytes are copied.
func TestLimited(t *testing.T) {
	var l limited
	if _, err := io.Copy(&l, io.LimitReader(endless{}, maxOutput+1)); err == nil || l.held.Len() > maxOutput {
		t.Errorf("%v, %d bytes are held", err, l.held.Len())
	}
}

type endless struct{}

// Read implements [io.Reader].
func (endless) Read(p []byte) (int, error) { return len(p), nil }

func FuzzReadReports(f *testing.F) {
	f.Add([]byte(`{"id":"1","ms":3,"seen":[{"target":"x","what":"y"}]}` + "\n" + `{"id":"end"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &plan{attempt: attempts()[0], user: agent, token: token, task: wire.ProbeTask{Web: &wire.ProbeWeb{}}}
		readReports(strings.NewReader(string(data)), map[string]*plan{"1": p})
		if got, _ := (&evidence{site: room()}).judge(p); got == Held {
			t.Error("held by the guest's word alone")
		}
	})
}

func FuzzParseMount(f *testing.F) {
	f.Add("3 1 254:0 /s /etc/ssl/certs ro,relatime shared:1 - ext4 /dev/vda rw")
	f.Fuzz(func(t *testing.T, line string) {
		if m, ok := parseMount(line); ok && (m.at == "" || m.kind == "") {
			t.Errorf("%q became %+v", line, m)
		}
	})
}

// TestEar hears what is said to it, and knows what was not.
func TestEar(t *testing.T) {
	e, err := listen([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	if e.said("tcp") == "" || e.said("udp") == "" || e.said(token) != "" {
		t.Errorf("heard %v", e.heard)
	}
	if _, err := listen([]string{"203.0.113.53"}); err == nil {
		t.Error("it believes to listen where it does not")
	}
}

// TestSchedule: what has no object in a bottle is not tried, and said.
func TestSchedule(t *testing.T) {
	plans, unmade := schedule(room(), nil)
	why := map[string]string{}
	for _, u := range unmade {
		why[u.ID] = u.Why
	}
	for _, a := range attempts() {
		// What is the same everywhere is made everywhere.
		if a.group == infra && why[a.id] != "" && a.id != "write-mounts" && a.id != "engine-port" {
			t.Errorf("%s is not made because %q", a.id, why[a.id])
		}
	}
	for id, want := range map[string]string{"git-unknown-fetch": noGit, "approve-by-tool": noSupervise, "own-bearer": "no route has a credential", "trailing-dot": noPlace, "other-bottles": "no other bottle runs"} {
		if why[id] != want {
			t.Errorf("%s is not made because %q, want %q", id, why[id], want)
		}
	}
	tokens := map[string]bool{}
	for _, p := range plans {
		if why[p.attempt.id] != "" || tokens[p.token] || p.task.Token != p.token {
			t.Errorf("%s by %s, %q", p.attempt.id, p.user, p.token)
		}
		tokens[p.token] = true
	}
	if err := checkIDs([]string{"trust", "trusts"}); err == nil || !strings.Contains(err.Error(), `"trusts"`) {
		t.Errorf("an id that there is not: %v", err)
	}
	if only, _ := schedule(room(), []string{"capabilities"}); len(only) != 2 || only[0].user == only[1].user {
		t.Errorf("%d plans for one attempt", len(only))
	}
}
