package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
)

const lfsText = "the contents of a large file"

// serveLFS is an LFS server with one object, for those whom the https upstream
// has let in.
func (w *world) serveLFS(rw http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256([]byte(lfsText))
	oid := hex.EncodeToString(sum[:])
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(rw, lfsText) // what is asked for is seen by the gate
		return
	}
	var q lfsRequest
	if json.NewDecoder(r.Body).Decode(&q) != nil || q.Operation != "download" {
		rw.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	a := lfsAnswer{}
	for _, id := range q.Objects {
		o := lfsObject{lfsID: id}
		if id.OID == oid || strings.HasPrefix(id.OID, "0000") { // the second has other contents than its name says
			from := lfsAction{Href: "https://" + r.Host + "/group/app.git/lfs/" + id.OID}
			if w.config.Remotes[0].TokenRef == "" { // only the server can say what opens its storage
				from.Header = map[string]string{"Authorization": r.Header.Get("Authorization")}
			}
			o.Actions = map[string]lfsAction{"download": from}
		} else {
			o.Error = &lfsError{404, "not here"}
		}
		a.Objects = append(a.Objects, o)
	}
	_ = json.NewEncoder(rw).Encode(a) // a client that is gone needs no answer
}

func TestLFSDownload(t *testing.T) {
	t.Parallel()
	t.Run("https", func(t *testing.T) { downloadLFS(t, bareWorld(t).overHTTPS().start()) })
	t.Run("ssh", func(t *testing.T) {
		w := bareWorld(t).overHTTPS()
		basic := base64.StdEncoding.EncodeToString([]byte("x-access-token:" + w.token))
		w.lfsCommand(fmt.Sprintf(`{"href":%q,"header":{"Authorization":"Basic %s"}}`, w.config.Remotes[0].Upstream+"/info/lfs", basic))
		w, _ = w.overSSH()
		downloadLFS(t, w.start())
	})
}

// lfsCommand gives the sshd that is started next a git-lfs-authenticate, which
// takes nothing but downloads.
func (w *world) lfsCommand(answer string) {
	w.t.Helper()
	w.path = filepath.Join(w.dir, "commands")
	must(w.t, os.Mkdir(w.path, 0o755))
	script := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = '%s download' ] && echo '%s'\n", w.bare, answer)
	must(w.t, os.WriteFile(filepath.Join(w.path, "git-lfs-authenticate"), []byte(script), 0o755))
}

// TestLFSRefusals are LFS requests that cannot be answered, or must not be.
func TestLFSRefusals(t *testing.T) {
	t.Parallel()
	oid := strings.Repeat("1", 64)
	ask := func(w *world, operation string) (status int, text string) {
		resp, err := http.Post(w.url()+"/info/lfs/objects/batch", lfsType, strings.NewReader(fmt.Sprintf(`{"operation":%q,"objects":[{"oid":%q,"size":5}]}`, operation, oid)))
		must(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, string(body)
	}
	for name, answer := range map[string]string{
		"no such command": "", "an address without TLS": `{"href":"http://127.0.0.1:1/lfs"}`, "no JSON": "hello",
	} {
		t.Run(name, func(t *testing.T) {
			w := bareWorld(t)
			if answer != "" {
				w.lfsCommand(answer)
			}
			w, _ = w.overSSH()
			w.start()
			if status, text := ask(w, "download"); status != http.StatusForbidden || !strings.Contains(text, "GIT_LFS_SKIP_SMUDGE=1") || !strings.Contains(text, "token_ref") {
				t.Errorf("%d %s", status, text)
			}
			if status, text := ask(w, "upload"); status != http.StatusForbidden || !strings.Contains(text, string(policy.ReasonLFSUpload)) {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	t.Run("an address that is private and not the upstream's", func(t *testing.T) {
		w := bareWorld(t)
		w.lfsCommand(`{"href":"https://127.0.0.2:1/lfs"}`)
		w, _ = w.overSSH()
		w.start()
		if status, text := ask(w, "download"); status != http.StatusForbidden || !strings.Contains(text, "127.0.0.2") {
			t.Errorf("%d %s", status, text)
		}
	})
}

func downloadLFS(t *testing.T, w *world) {
	sum := sha256.Sum256([]byte(lfsText))
	good, forged, absent := hex.EncodeToString(sum[:]), strings.Repeat("0", 64), strings.Repeat("1", 64)
	question := fmt.Sprintf(`{"operation":"download","objects":[{"oid":%q,"size":%d},{"oid":%q,"size":5},{"oid":%q,"size":5}]}`, good, len(lfsText), forged, absent)
	resp, err := http.Post(w.url()+"/info/lfs/objects/batch", lfsType, strings.NewReader(question))
	must(t, err)
	defer resp.Body.Close()
	var a lfsAnswer
	must(t, json.NewDecoder(resp.Body).Decode(&a))
	if len(a.Objects) != 3 || a.Objects[2].Error == nil {
		t.Fatalf("%+v", a)
	}
	href := a.Objects[0].Actions["download"].Href
	if !strings.HasPrefix(href, "http://"+w.http+"/") || strings.Contains(fmt.Sprint(a), w.token) {
		t.Errorf("the agent is sent to %s", href)
	}
	get := func(href string) (string, error) {
		resp, err := http.Get(href)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return string(text), err
	}
	if text, err := get(href); text != lfsText || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if text, err := get(a.Objects[1].Actions["download"].Href); err == nil {
		t.Errorf("contents that are not what the name says came whole: %q", text)
	}
	lines := w.audit()
	if last := lines[len(lines)-1]; last.Event != "lfs" || last.Decision != policy.Allow {
		t.Errorf("the audit ends with %+v", last)
	}
}

// TestSubmodulesAndSignatures pushes a submodule's entry and a signed commit.
func TestSubmodulesAndSignatures(t *testing.T) {
	t.Parallel()
	w := bareWorld(t).overHTTPS().start()
	dir := w.clone()
	key := filepath.Join(w.dir, "sign")
	must(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).Run())
	w.git(dir, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", w.bare, "sub")
	w.git(dir, "-c", "gpg.format=ssh", "-c", "user.signingKey="+key, "commit", "--quiet", "-S", "-m", "A submodule, signed")
	w.git(dir, "push", "--quiet", "origin", "HEAD")
	again := filepath.Join(w.dir, "again")
	w.git("", "clone", "--quiet", "--branch", "agent/work", w.url(), again)
	if raw := w.git(again, "cat-file", "commit", "HEAD"); !strings.Contains(raw, "gpgsig") {
		t.Error("the signature is gone")
	}
	if mode := w.git(again, "ls-tree", "HEAD", "sub"); !strings.HasPrefix(mode, "160000 commit") {
		t.Errorf("the submodule became %q", mode)
	}
}
