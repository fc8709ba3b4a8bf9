// Package bottle names things: the identity of a launch, and the places on the
// host where the operator's manifests, the state of each launch and its tokens
// live. It knows no engine and no manifest; every backend and every command of
// the launcher finds its way by it.
//
// A launch owns its state directory by holding an flock on the file "lock" in
// it for as long as the launcher process lives. Whoever finds the lock free,
// after a crash or a kill, may clean up; nobody needs a process id to be sure.
package bottle

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strings"
)

// maxName bounds the name of an agent or a bottle, so that every identity is a
// host name.
const maxName = 48

// suffixLen is the number of random characters at the end of an identity.
const suffixLen = 5

var (
	nameShape     = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	identityShape = regexp.MustCompile(`^([a-z][a-z0-9-]*)-[0-9a-z]{5}$`)
)

// CheckName reports why name cannot name an agent or a bottle.
func CheckName(name string) error {
	if !nameShape.MatchString(name) {
		return fmt.Errorf("%q is not a name: use lower-case letters, digits and hyphens, a letter first", name)
	}
	if len(name) > maxName {
		return fmt.Errorf("the name %q is longer than %d characters", name, maxName)
	}
	return nil
}

// Identity names one launch: "<agent>-<5 random base36 characters>".
type Identity string

// NewIdentity draws an identity for a launch of agent.
func NewIdentity(agent string) Identity {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	suffix := make([]byte, 0, suffixLen)
	var b [1]byte
	for len(suffix) < suffixLen {
		_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
		if b[0] < 252 {        // 7 * 36: the rest would favour low digits
			suffix = append(suffix, digits[b[0]%36])
		}
	}
	return Identity(agent + "-" + string(suffix))
}

// ParseIdentity checks that s could be an identity. What it returns is safe as
// a path element.
func ParseIdentity(s string) (Identity, error) {
	if !identityShape.MatchString(s) || len(s) > maxName+1+suffixLen {
		return "", fmt.Errorf("%q is not an identity such as demo-4f9ka; `launcher list` shows them", s)
	}
	return Identity(s), nil
}

// Agent is the agent's name in the identity.
func (i Identity) Agent() string {
	s := string(i)
	if n := strings.LastIndexByte(s, '-'); n > 0 {
		return s[:n]
	}
	return s
}
