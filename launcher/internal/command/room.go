package command

import (
	"os"
	"path/filepath"
	"syscall"
)

// room is how many bytes and files the file system has left for us, at a directory
// or at the nearest one above it that is there.
func room(dir string) (bytes, files uint64, err error) {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	files = st.Ffree
	if st.Files == 0 { // btrfs and its like count none
		files = 1 << 32
	}
	return st.Bavail * uint64(st.Bsize), files, nil
}
