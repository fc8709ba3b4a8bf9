// Package workspace carries a project into a bottle, and what became of it out
// again. It copies; nothing of the host is mounted.
//
// On the way in ([Pack]) links are carried as links and never followed, and what
// holds a credential is refused: a token's value anywhere, or a password in the
// configuration of git.
//
// On the way out the agent is the author of every byte, name and link. [Unpack]
// takes an archive to pieces in a private directory without ever creating a link;
// [Compare] says what is new, other and gone, and names what would run on the
// host or steer its tools ([Risk]); [Put] writes what the operator chose. All three
// work below an [os.Root], so no name and no link leads outside of it.
package workspace

import (
	"fmt"
	"io/fs"
)

// Bounds of what is carried in either direction.
const (
	MaxBytes = 8 << 30
	MaxFiles = 1 << 20
)

// Kind is what an entry of a tree is.
type Kind byte

// Kinds of entries; everything else is left out.
const (
	Dir Kind = iota + 1
	File
	Link
)

func (k Kind) String() string {
	return [...]string{"nothing", "directory", "file", "link"}[k]
}

// Entry is one name in a tree.
type Entry struct {
	Kind Kind
	Size int64
	// Exec says that a file is a program.
	Exec bool
	// Target is where a link leads, as it stands in the link.
	Target string
}

// Tree maps slash-separated paths to what is there.
type Tree map[string]Entry

// Left is a name that was left behind, and why.
type Left struct{ Path, Why string }

func (l Left) String() string { return fmt.Sprintf("%s: %s", l.Path, l.Why) }

// perm are the permission bits of a file that is written: nothing of the other
// side's owner, group or special bits is taken over.
func perm(exec bool) fs.FileMode {
	if exec {
		return 0o755
	}
	return 0o644
}
