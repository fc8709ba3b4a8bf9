package compose

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The parts of a profile that are narrowed.
type (
	seccompProfile struct {
		DefaultAction   string        `json:"defaultAction"`
		DefaultErrnoRet int           `json:"defaultErrnoRet"`
		ArchMap         []seccompArch `json:"archMap"`
		Syscalls        []seccompRule `json:"syscalls"`
	}
	seccompArch struct {
		Architecture     string   `json:"architecture"`
		SubArchitectures []string `json:"subArchitectures"`
	}
	seccompRule struct {
		Names    []string       `json:"names"`
		Action   string         `json:"action"`
		ErrnoRet int            `json:"errnoRet,omitempty"`
		Args     []seccompArg   `json:"args,omitempty"`
		Comment  string         `json:"comment,omitempty"`
		Includes *seccompFilter `json:"includes,omitempty"`
		Excludes *seccompFilter `json:"excludes,omitempty"`
	}
	seccompArg struct {
		Index    uint   `json:"index"`
		Value    uint64 `json:"value"`
		ValueTwo uint64 `json:"valueTwo"`
		Op       string `json:"op"`
	}
	seccompFilter struct {
		Caps      []string `json:"caps,omitempty"`
		Arches    []string `json:"arches,omitempty"`
		MinKernel string   `json:"minKernel,omitempty"`
	}
)

// Calls whose rules are ours instead of Docker's.
var ownCalls = []string{"socket", "socketpair", "socketcall"}

// narrow makes our profile out of Docker's.
func narrow(p *seccompProfile) {
	for i := range p.ArchMap {
		p.ArchMap[i].SubArchitectures = []string{}
	}
	var rules []seccompRule
	for _, r := range p.Syscalls {
		if r.Includes != nil && len(r.Includes.Caps) > 0 {
			continue // what a capability would open; no container has one
		}
		if r.Excludes != nil {
			r.Excludes.Caps = nil // what it would lift stays
			if len(r.Excludes.Arches) == 0 {
				r.Excludes = nil
			}
		}
		r.Names = slices.DeleteFunc(r.Names, func(n string) bool { return slices.Contains(ownCalls, n) })
		if len(r.Names) > 0 {
			rules = append(rules, r)
		}
	}
	is := func(index uint, value uint64) seccompArg { // of an int, of which the kernel sees 32 bits
		return seccompArg{Index: index, Value: 1<<32 - 1, ValueTwo: value, Op: "SCMP_CMP_MASKED_EQ"}
	}
	allow := func(call, comment string, args ...seccompArg) {
		rules = append(rules, seccompRule{Names: []string{call}, Action: "SCMP_ACT_ALLOW", Comment: comment, Args: args})
	}
	allow("socket", "AF_UNIX", is(0, 1))
	allow("socket", "AF_INET", is(0, 2))
	allow("socket", "AF_INET6", is(0, 10))
	allow("socket", "AF_NETLINK, NETLINK_ROUTE", is(0, 16), is(2, 0))
	allow("socketpair", "AF_UNIX", is(0, 1))
	p.Syscalls = rules
}

func TestSeccompGolden(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "moby-seccomp.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p seccompProfile
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	narrow(&p)
	got, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("seccomp.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return // the embedded one is of before
	}
	if string(got) != string(Seccomp()) {
		t.Error("seccomp.json is not what narrow makes; run go test -update and read the diff")
	}
	if !strings.HasPrefix(SeccompOption(), `seccomp={"defaultAction":"SCMP_ACT_ERRNO"`) {
		t.Errorf("the option begins %.60s", SeccompOption())
	}
}

// What the profile is for, whatever a newer one of Docker's brings.
func TestSeccompRefuses(t *testing.T) {
	var p seccompProfile
	if err := json.Unmarshal(Seccomp(), &p); err != nil {
		t.Fatal(err)
	}
	if p.DefaultAction != "SCMP_ACT_ERRNO" {
		t.Errorf("what is not listed meets %s", p.DefaultAction)
	}
	for _, a := range p.ArchMap {
		if len(a.SubArchitectures) > 0 {
			t.Errorf("%s brings %q along", a.Architecture, a.SubArchitectures)
		}
	}
	never := []string{"socketcall", "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "bpf", "perf_event_open",
		"keyctl", "add_key", "request_key", "unshare", "setns", "mount", "fsopen", "move_mount", "open_by_handle_at", "kexec_load", "init_module"}
	for _, r := range p.Syscalls {
		for _, n := range r.Names {
			switch {
			case r.Action != "SCMP_ACT_ALLOW":
			case slices.Contains(never, n):
				t.Errorf("%s is allowed", n)
			case (n == "socket" || n == "socketpair" || n == "clone" || n == "clone3") && len(r.Args) == 0:
				t.Errorf("%s is allowed whatever its arguments", n)
			case n == "socket" && !slices.Contains([]uint64{1, 2, 10, 16}, r.Args[0].ValueTwo):
				t.Errorf("the family %d is allowed", r.Args[0].ValueTwo)
			}
		}
		if r.Includes != nil && len(r.Includes.Caps) > 0 || r.Excludes != nil && len(r.Excludes.Caps) > 0 {
			t.Errorf("the rule of %q depends on capabilities", r.Names)
		}
	}
}
