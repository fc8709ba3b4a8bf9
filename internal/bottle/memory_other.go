//go:build !linux

package bottle

// inMemory reports whether dir is on a file system without a disk, which no
// directory is known to be here.
func inMemory(string) bool { return false }
