package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/Microsoft/hcsshim/ext4/tar2ext4"
	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/bottlesuite/bottle/launcher/internal/engine"
)

// Image is the disk of an image: a read-only ext4 file system with the image's
// files, in dir under a name made of the image's id. It is made once, and
// again once [Trim] took it; export writes the image's files as an archive.
func Image(ctx context.Context, dir, id string, export func(context.Context, io.Writer) error) (file string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot keep the disk of the image: %w", err)
	}
	file = imageFile(dir, id)
	unlock, err := lockedfile.MutexAt(file + ".lock").Lock()
	if err != nil {
		return "", fmt.Errorf("cannot lock the disk of the image: %w", err)
	}
	defer unlock()
	if now := time.Now(); os.Chtimes(file, now, now) == nil { // which keeps it from [Trim]
		return file, nil
	}
	part, err := os.OpenFile(file+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", fmt.Errorf("cannot make the disk of the image: %w", err)
	}
	defer os.Remove(part.Name())
	err = convert(ctx, part, export)
	if err = errors.Join(err, part.Close()); err != nil {
		return "", fmt.Errorf("cannot make the disk of the image: %w", err)
	}
	return file, os.Rename(part.Name(), file)
}

func convert(ctx context.Context, to io.ReadWriteSeeker, export func(context.Context, io.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		err := export(ctx, w)
		_ = w.CloseWithError(err) // nil is the end of the archive
		exported <- err
	}()
	err := tar2ext4.ConvertTarToExt4(r, to)
	_ = r.CloseWithError(errors.New("the disk takes no more"))
	if eerr := <-exported; err == nil {
		err = eerr
	}
	return err
}

// tool finds a program where the system's own are.
func tool(name string) (string, error) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/opt/homebrew/bin"} {
		file := filepath.Join(dir, name)
		if fi, err := os.Stat(file); err == nil && fi.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	remedy := map[string]string{"mke2fs": "install e2fsprogs", "qemu-system-x86_64": "install qemu-system-x86"}[name]
	if remedy == "" {
		remedy = "install it"
	}
	return "", &engine.Problem{What: "there is no " + name + " on this host, which virtual machines need", Remedy: remedy}
}
