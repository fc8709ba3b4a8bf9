//go:build linux

package probe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bottlesuite/bottle/internal/wire"
)

// writeFiles opens files for writing and changes nothing in them; in a directory
// it makes a file and removes it.
func writeFiles(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	each(t, r, func(target string) (bool, string) {
		name, flags := target, os.O_WRONLY
		fi, err := os.Stat(target)
		if err != nil {
			return false, word(err)
		}
		if fi.IsDir() {
			name, flags = filepath.Join(target, ".bottle-verify-"+t.Token), os.O_WRONLY|os.O_CREATE|os.O_EXCL
		}
		f, err := os.OpenFile(name, flags, 0o600)
		if err != nil {
			return false, word(err)
		}
		_ = f.Close()
		if fi.IsDir() {
			_ = os.Remove(name)
		}
		return true, "it can be written"
	})
	return nil
}

// findFiles tells of files by the marks that the targets name: setuid, filecap,
// socket, device.
func findFiles(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	all := walked()
	for _, f := range all.marked {
		mark, _, _ := strings.Cut(f, " ")
		if slices.Contains(t.Targets, mark) && len(r.Facts) < maxFacts {
			r.Facts = append(r.Facts, f)
		}
	}
	r.Seen = []wire.ProbeSeen{{Target: "/", What: fmt.Sprintf("%d files", all.count)}}
	return nil
}

// tree is what was found on a walk.
type tree struct {
	count  int
	marked []string // "mark /path"
}

// walked goes through the guest's whole tree, once for all that ask.
var walked = sync.OnceValue(func() (all tree) {
	_ = filepath.WalkDir("/", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // what this user cannot look into, it cannot use
		}
		if e.IsDir() {
			if name == "/proc" || name == "/sys" {
				return fs.SkipDir
			}
			return nil
		}
		all.count++
		if mark := markOf(name, e); mark != "" {
			all.marked = append(all.marked, mark+" "+name)
		}
		return nil
	})
	return all
})

// markOf looks at the file itself: what the directory says of it is not true where
// something is mounted on it.
func markOf(name string, e fs.DirEntry) string {
	fi, err := e.Info()
	if err != nil {
		return ""
	}
	switch mode := fi.Mode(); {
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeDevice != 0:
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && mode&fs.ModeCharDevice != 0 {
			if major, minor := unix.Major(st.Rdev), unix.Minor(st.Rdev); harmless[[2]uint32{major, minor}] || major == 136 { // a terminal of its own
				return ""
			}
		}
		return "device"
	case mode.IsRegular() && mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return "setuid"
	case mode.IsRegular() && mode&0o111 != 0:
		if n, err := unix.Lgetxattr(name, "security.capability", nil); err == nil && n > 0 {
			return "filecap"
		}
	}
	return ""
}

// harmless are the character devices of every container, by number: null, zero,
// full, random, urandom, tty, console, ptmx.
var harmless = map[[2]uint32]bool{
	{1, 3}: true, {1, 5}: true, {1, 7}: true, {1, 8}: true, {1, 9}: true, {5, 0}: true, {5, 1}: true, {5, 2}: true,
}

// stores are where programs look for authorities that they trust.
var stores = []string{"/etc/ssl", "/usr/local/share/ca-certificates", "/etc/ca-certificates", "/etc/pki", "/usr/lib/ssl", "/usr/local/ssl"}

// pointers are the variables that name further stores.
var pointers = []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "CODEX_CA_CERTIFICATE", "DENO_CERT"}

// listTrust tells the SHA-256 of every certificate in the stores.
func listTrust(_ context.Context, _ wire.ProbeTask, r *wire.ProbeReport) error {
	roots := append([]string(nil), stores...)
	for _, name := range pointers {
		if p := os.Getenv(name); p != "" {
			roots = append(roots, filepath.SplitList(p)...)
		}
	}
	seen := map[string]bool{}
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return nil
			}
			real, err := filepath.EvalSymlinks(name)
			if err != nil || seen[real] {
				return nil
			}
			seen[real] = true
			data, err := os.ReadFile(real)
			if err != nil {
				return nil
			}
			for _, sum := range certificates(data) {
				r.Facts = append(r.Facts, sum+" "+real)
			}
			return nil
		})
	}
	return nil
}

// certificates are the SHA-256 of the certificates in a PEM file.
func certificates(data []byte) (sums []string) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "CERTIFICATE") {
			sum := sha256.Sum256(block.Bytes)
			sums = append(sums, hex.EncodeToString(sum[:]))
		}
	}
	return sums
}
