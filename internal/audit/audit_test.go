package audit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
)

func open(t testing.TB, file string) *Log {
	t.Helper()
	l, err := Open(file, "egressd", "demo-abc12")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func write(t testing.TB, l *Log, host string) {
	t.Helper()
	if err := l.Write(Entry{Event: "request", Decision: policy.Allow, Host: host}); err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, file string) (int, error) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return Verify(bytes.NewReader(data))
}

func TestChainAcrossRestarts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	for range 3 {
		l := open(t, file)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() { write(t, l, fmt.Sprintf("h%d.example", i)) })
		}
		wg.Wait()
		l.Close()
	}
	if n, err := verify(t, file); n != 150 || err != nil {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestVerifyFindsTampering(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := open(t, file)
	for i := range 5 {
		write(t, l, fmt.Sprintf("h%d.example", i))
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(whole), "\n"), "\n")
	for name, tc := range map[string]struct {
		data string
		good int
	}{
		"changed":   {strings.Replace(string(whole), "h2.example", "hX.example", 1), 3},
		"removed":   {strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), ""), 2},
		"swapped":   {lines[0] + lines[2] + lines[1] + lines[3], 1},
		"first cut": {strings.Join(lines[1:], ""), 0},
		"half line": {string(whole) + `{"ts":"`, 5},
	} {
		if n, err := Verify(strings.NewReader(tc.data)); err == nil || n != tc.good {
			t.Errorf("%s: %d good lines, %v", name, n, err)
		}
	}
}

// tear leaves half a line at the end of a file, as a crash does.
func tear(t testing.TB, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"ts":"half`); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestTornLineStaysVisibleAndChainGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := open(t, file)
	write(t, l, "a.example")
	l.Close()
	tear(t, file)
	l = open(t, file)
	write(t, l, "b.example")
	write(t, l, "c.example")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) != 4 || lines[1] != `{"ts":"half` || !strings.Contains(lines[2], hash([]byte(lines[1]))) || !strings.Contains(lines[3], hash([]byte(lines[2]))) {
		t.Errorf("got\n%s", data)
	}
}

// TestFullDisk writes to /dev/full, on which every write fails as on a full
// disk, and then to a good file.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full:", err)
	}
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := open(t, file)
	write(t, l, "a.example")
	good := l.file
	l.file = full
	if err := l.Require(Entry{Event: "begin", Host: "never.example"}); err == nil {
		t.Error("what must be recorded first may happen on a full disk")
	}
	if err := l.Write(Entry{Event: "request", Host: "b.example"}); err == nil {
		t.Error("a write to a full disk succeeded")
	}
	for range 2 * maxWaiting { // a client that goes on while it is denied
		_ = l.Write(Entry{Event: "request", Decision: policy.Deny, Host: "flood.example"})
	}
	l.file = good
	if err := l.Require(Entry{Event: "begin", Host: "c.example"}); err != nil {
		t.Error(err)
	}
	data, _ := os.ReadFile(file)
	text := string(data)
	n, err := verify(t, file)
	if err != nil || n > maxWaiting+4 || !strings.Contains(text, "b.example") || !strings.Contains(text, "c.example") ||
		strings.Contains(text, "never.example") || !strings.Contains(text, "denials came too fast") {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestFloodOfDenialsIsFolded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := open(t, file)
	const flood = 20000
	for range flood {
		if err := l.Write(Entry{Event: "request", Decision: policy.Deny, Reason: policy.ReasonHostNotAllowed}); err != nil {
			t.Fatal(err)
		}
	}
	write(t, l, "allowed.example")
	l.Close()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	written := bytes.Count(data, []byte("host_not_allowed"))
	var folded int
	for line := range strings.Lines(string(data)) {
		if _, rest, ok := strings.Cut(line, `"event":"folded","decision":"deny","detail":"`); ok {
			var n int
			fmt.Sscan(rest, &n)
			folded += n
		}
	}
	if written >= flood/2 || written+folded != flood || !bytes.Contains(data, []byte("allowed.example")) {
		t.Errorf("%d written, %d folded of %d", written, folded, flood)
	}
	if _, err := verify(t, file); err != nil {
		t.Error(err)
	}
}

func TestFieldsAreBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.jsonl")
	l := open(t, file)
	long := strings.Repeat("\x00", 1<<20)
	if err := l.Write(Entry{Event: "request", Host: long, Path: long, Method: long, Detail: long}); err != nil {
		t.Fatal(err)
	}
	if st, _ := os.Stat(file); st.Size() > maxLine {
		t.Errorf("the line has %d bytes", st.Size())
	}
	l.Close()
	write(t, open(t, file), "b.example")
	if n, err := verify(t, file); n != 2 || err != nil {
		t.Errorf("%d lines, %v", n, err)
	}
}

func BenchmarkWrite(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "a.jsonl"))
	e := Entry{Event: "request", Decision: policy.Allow, Rule: "routes[0].matches[1]", Method: "GET", Host: "api.example", Path: "/v1/messages", Status: 200, RequestID: NewRequestID()}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Write(e); err != nil {
			b.Fatal(err)
		}
	}
}
