package gitremote

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Validate judges a remote's declaration by itself. Field is the key at fault,
// relative to the remote ("refs.allow[0]").
func Validate(r wire.GitRemote) (field string, err error) {
	if !nameShape.MatchString(r.Name) {
		return "name", fmt.Errorf("%q is not a name of lower-case letters, digits and hyphens", r.Name)
	}
	u, err := Parse(r.Upstream)
	if err != nil {
		return "upstream", err
	}
	if u.Scheme == SSH {
		field, err = validateSSH(r)
	} else {
		field, err = validateHTTPS(r)
	}
	if err != nil {
		return field, err
	}
	for i, p := range r.Refs.Allow {
		if err := CheckPattern(p); err != nil {
			return fmt.Sprintf("refs.allow[%d]", i), err
		}
	}
	if !slices.Contains([]string{"", wire.TagsCreate, wire.TagsMove, wire.TagsDeny}, r.Refs.Tags) {
		return "refs.tags", fmt.Errorf("tags is one of create, move and deny, not %q", r.Refs.Tags)
	}
	if r.Limits.MaxObjects < 0 || r.Limits.MaxRefs < 0 {
		return "limits", errors.New("a limit is above 0")
	}
	return "", nil
}

func validateSSH(r wire.GitRemote) (field string, err error) {
	switch {
	case r.TokenRef != "":
		return "token_ref", errors.New("token_ref is for https; an ssh upstream takes identity_file")
	case r.IdentityFile == "":
		return "identity_file", errors.New("identity_file is missing: an ssh upstream needs a private key of its own, and agents' sockets are not used")
	case strings.HasSuffix(r.IdentityFile, ".pub"):
		return "identity_file", errors.New("identity_file names a public key; name the private one")
	}
	return "", nil
}

func validateHTTPS(r wire.GitRemote) (field string, err error) {
	switch {
	case r.IdentityFile != "":
		return "identity_file", errors.New("identity_file is for ssh; an https upstream takes token_ref")
	case r.KnownHostKey != "":
		return "known_host_key", errors.New("known_host_key is for ssh; an https server is known by its certificate")
	case r.TokenRef != "" && !refShape.MatchString(r.TokenRef):
		return "token_ref", fmt.Errorf("%q is not a name such as GITHUB_TOKEN", r.TokenRef)
	}
	return "", nil
}

// ValidateAll judges remotes together: names and upstreams are not used twice.
func ValidateAll(remotes []wire.GitRemote) (i int, field string, err error) {
	names, urls := map[string]bool{}, map[string]string{}
	for i, r := range remotes {
		if field, err := Validate(r); err != nil {
			return i, field, err
		}
		u, _ := Parse(r.Upstream) // judged just now
		key := strings.TrimSuffix(u.URL(), ".git")
		switch {
		case names[r.Name]:
			return i, "name", fmt.Errorf("the name %q stands twice", r.Name)
		case urls[key] != "":
			return i, "upstream", fmt.Errorf("the upstream is that of %q, too; declare it once", urls[key])
		}
		names[r.Name], urls[key] = true, r.Name
	}
	return 0, "", nil
}

// Namespaces are where refs may be pushed; the mirror follows these.
var Namespaces = []string{"refs/heads/", "refs/tags/", "refs/notes/"}

// CheckPattern reports why a pattern of refs cannot be one.
func CheckPattern(p string) error {
	if strings.Count(p, "*") > 1 {
		return fmt.Errorf("the pattern %q has more than one *", p)
	}
	if !slices.ContainsFunc(Namespaces, func(n string) bool { return strings.HasPrefix(p, n) }) {
		return fmt.Errorf("the pattern %q begins with none of %s", p, strings.Join(Namespaces, ", "))
	}
	if err := CheckRef(strings.Replace(p, "*", "x", 1)); err != nil {
		return fmt.Errorf("the pattern %q could never match: %w", p, err)
	}
	return nil
}

// CheckRef reports why name is no proper name of a branch, tag or note: git's
// own rules (git-check-ref-format), printable, and of bounded length.
func CheckRef(name string) error {
	rest := ""
	for _, n := range Namespaces {
		if r, ok := strings.CutPrefix(name, n); ok {
			rest = r
		}
	}
	switch {
	case rest == "":
		return errors.New("it is not below refs/heads, refs/tags or refs/notes")
	case len(name) > 255:
		return errors.New("it is longer than 255 bytes")
	case strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.HasSuffix(name, "."):
		return errors.New(`it holds "..", "@{" or a dot at its end`)
	case strings.HasPrefix(rest, "refs/") || rest == "HEAD":
		return errors.New("it repeats a name that git gives a meaning")
	}
	for _, elem := range strings.Split(name, "/") {
		if elem == "" || elem[0] == '.' || elem[0] == '-' || strings.HasSuffix(elem, ".lock") {
			return errors.New("it has an element that is empty, begins with a dot or a hyphen, or ends in .lock")
		}
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f || strings.ContainsRune("~^:?*[\\", c) || isInvisible(c) {
			return fmt.Errorf("it holds the character %q", c)
		}
	}
	return nil
}

// isInvisible tells characters that make two different names look the same.
func isInvisible(c rune) bool {
	return c == 0xfffd || c >= 0x80 && c < 0xa0 || c == 0xad || c >= 0x200b && c <= 0x200f ||
		c >= 0x2028 && c <= 0x202e || c >= 0x2060 && c <= 0x206f || c == 0xfeff || c >= 0xe0000
}
