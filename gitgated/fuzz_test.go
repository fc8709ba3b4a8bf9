package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/gitgated/internal/pktline"
	"github.com/bottlesuite/bottle/gitgated/internal/refpolicy"
)

// commands are lines in git's protocol, ended by a flush.
func commands(lines ...string) []byte {
	var b bytes.Buffer
	for _, l := range lines {
		_ = pktline.Writef(&b, "%s", l) // a buffer takes everything
	}
	_ = pktline.WriteFlush(&b)
	return b.Bytes()
}

// FuzzReadWish reads the commands of a push. What is read must be within the
// bounds, and say again what it was read from.
func FuzzReadWish(f *testing.F) {
	one, two := strings.Repeat("1", 40), strings.Repeat("2", 40)
	f.Add(commands(one+" "+two+" refs/heads/a\x00 report-status side-band-64k atomic\n", refpolicy.Zero+" "+two+" refs/heads/b\n"))
	f.Add(commands("shallow "+one, one+" "+refpolicy.Zero+" refs/tags/v 1\x00quiet"))
	f.Add(commands(one + " " + two))
	f.Add([]byte("0000"))
	f.Fuzz(func(t *testing.T, in []byte) {
		const most = 3
		w, err := readWish(bytes.NewReader(in), most)
		if err != nil && !errors.Is(err, errTooMany) {
			return
		}
		if len(w.updates) > most || errors.Is(err, errTooMany) != (len(w.updates) == most && err != nil) {
			t.Fatalf("%d updates, %v", len(w.updates), err)
		}
		if w.packs() != slices.ContainsFunc(w.updates, func(u refpolicy.Update) bool { return u.New != refpolicy.Zero }) {
			t.Fatal("whether a pack follows is wrong")
		}
		var again []string
		for _, u := range w.updates {
			if strings.Contains(u.Ref, "\x00") || !oidShape.MatchString(u.Old) || !oidShape.MatchString(u.New) {
				t.Fatalf("%+v", u)
			}
			again = append(again, u.Old+" "+u.New+" "+u.Ref+"\n")
		}
		same, err := readWish(bytes.NewReader(commands(again...)), most)
		if err != nil || !slices.Equal(same.updates, w.updates) {
			t.Fatalf("%+v was read again as %+v, %v", w.updates, same.updates, err)
		}
	})
}

// FuzzParseRequest reads the first line of a git:// connection.
func FuzzParseRequest(f *testing.F) {
	f.Add("git-upload-pack /app.git\x00host=git-gate\x00\x00version=2\x00")
	f.Add("git-receive-pack /app\x00")
	f.Add("git-upload-archive /app\x00host=x\x00")
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := parseRequest(line)
		if !ok {
			return
		}
		if r.service != uploadPack && r.service != receivePack || !strings.HasPrefix(r.name, "/") || strings.Contains(r.name, "\x00") ||
			r.protocol != "" && !versionShape.MatchString(r.protocol) {
			t.Fatalf("%q was read as %+v", line, r)
		}
	})
}

// FuzzReadBatch reads a batch request of Git LFS. Only well-formed ids go on.
func FuzzReadBatch(f *testing.F) {
	f.Add(`{"operation":"download","objects":[{"oid":"` + strings.Repeat("a", 64) + `","size":3}]}`)
	f.Add(`{"operation":"upload","objects":[]}`)
	f.Add(`{"operation":"download","objects":[{"oid":"../x","size":-1}]}`)
	f.Fuzz(func(t *testing.T, in string) {
		q, err := readBatch(strings.NewReader(in))
		if err != nil || q.Operation != "download" {
			return
		}
		for _, o := range q.Objects {
			if len(o.OID) != 64 || strings.Trim(o.OID, "0123456789abcdef") != "" || o.Size < 0 {
				t.Fatalf("%q passed with %+v", in, o)
			}
		}
		if _, err := json.Marshal(q); len(q.Objects) > maxObjects || err != nil {
			t.Fatal(len(q.Objects), err)
		}
	})
}

// FuzzPeek looks at the first line of a fetch, and takes nothing.
func FuzzPeek(f *testing.F) {
	f.Add([]byte("0014command=ls-refs\n0000"))
	f.Add([]byte("zzzz"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), 64<<10)
		line, err := peek(r)
		if err == nil && (len(line) > 252 || !strings.HasPrefix(string(in[4:]), line)) {
			t.Fatalf("%q", line)
		}
		var rest bytes.Buffer
		if _, err := rest.ReadFrom(r); err != nil || !bytes.Equal(rest.Bytes(), in) {
			t.Fatal("something was taken")
		}
	})
}
