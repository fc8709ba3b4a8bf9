package command

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
)

//go:embed examples/dev.md examples/demo.md
var examples embed.FS

func (r *run) initCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "write an example bottle and an example agent; what is there stays as it is",
		Action: func(c *cli.Context) error {
			if _, err := r.words(c, false); err != nil {
				return err
			}
			return r.init()
		},
	}
}

func (r *run) init() error {
	home, err := r.home()
	if err != nil {
		return err
	}
	for _, f := range []struct{ example, path string }{
		{"examples/dev.md", filepath.Join(home.Bottles(), "dev.md")},
		{"examples/demo.md", filepath.Join(home.Agents(), "demo.md")},
	} {
		data, err := examples.ReadFile(f.example)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
			return mendf("cannot create the home: %w", err)
		}
		err = writeNew(f.path, data)
		switch {
		case errors.Is(err, fs.ErrExist):
			r.print("kept   %s", f.path)
		case err != nil:
			return mendf("cannot write the example: %w", err)
		default:
			r.print("wrote  %s", f.path)
		}
	}
	r.print("Next: `launcher doctor`, then `launcher start demo --dry-run`.")
	return nil
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
