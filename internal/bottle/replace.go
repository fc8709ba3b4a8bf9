package bottle

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace writes a file that only its owner can read, as a whole: a reader sees what
// was there or what is there now, never half of it. It is not synced to the disk.
func Replace(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
