package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The large repository: a history of commits, each of which replaces all files by
// new ones of incompressible bytes. Nearly all of it is history, so that a clone
// is work for the network and not for the file system.
const (
	largeCommits = 500
	largeInEach  = 100
	largeFile    = 2200 // bytes
	// largeObjects are the files, and for each commit itself and two folders.
	largeObjects = largeCommits * (largeInEach + 3)
)

// largeRepository makes the repository, or finds it made by an earlier run, and
// returns the directory that it lies in, as large.git.
func largeRepository() (string, error) {
	root, err := filepath.Abs("../../.cache/e2e")
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("history-%d-%d-%d", largeCommits, largeInEach, largeFile)
	dir := filepath.Join(root, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(root, name+".")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh) // of a run that failed
	repo := filepath.Join(fresh, "large.git")
	if out, err := exec.Command("git", "init", "-q", "--bare", "--initial-branch=main", repo).CombinedOutput(); err != nil {
		return "", fmt.Errorf("git init: %w: %s", err, out)
	}
	load := exec.Command("git", "-C", repo, "-c", "core.compression=0", "fast-import", "--quiet")
	in, err := load.StdinPipe()
	if err != nil {
		return "", err
	}
	var complaint bytes.Buffer
	load.Stderr = &complaint
	if err := load.Start(); err != nil {
		return "", err
	}
	writeLarge(in)
	if err := load.Wait(); err != nil {
		return "", fmt.Errorf("git fast-import: %w: %s", err, complaint.String())
	}
	return dir, os.Rename(fresh, dir)
}

// writeLarge writes the stream of git fast-import(1). An error shows in its end.
func writeLarge(in io.WriteCloser) {
	w := bufio.NewWriterSize(in, 1<<20)
	content := rand.NewChaCha8([32]byte([]byte("the content of a large repo.....")))
	block := make([]byte, largeFile)
	for i := range largeCommits {
		fmt.Fprintf(w, "commit refs/heads/main\ncommitter A Tester <tester@demo.example> %d +0000\ndata 5\nlarge\ndeleteall\n", 1700000000+i)
		for j := range largeInEach {
			_, _ = content.Read(block) // never fails
			fmt.Fprintf(w, "M 100644 inline d%03d/f%03d\ndata %d\n%s\n", i, j, largeFile, block)
		}
	}
	fmt.Fprint(w, "done\n")
	_ = w.Flush()
	_ = in.Close()
}

// largeServer serves the large repository by git's own program, which the
// operator's git brings along.
func largeServer(below string) (http.Handler, error) {
	dir, err := largeRepository()
	if err != nil {
		return nil, err
	}
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("there is no git on this machine: %w", err)
	}
	return &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Root: strings.TrimSuffix(below, "/"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
		},
		Stderr: io.Discard,
	}, nil
}
