package guestinit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/bottlesuite/bottle/launcher/internal/guest"
)

// asService says that the machine's kernel and first process are somebody else's,
// so that the end of this one does not switch it off.
var asService bool

// Service is [Main] in a machine that another init has started, with its disk,
// network and clock: as root, with the bottle's files in place. It shows the files,
// takes from itself what no command gets, and serves the one launcher that connects
// with a socket.
func Service(socket string) error {
	asService = true
	data, err := os.ReadFile(Spec)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &spec); err != nil {
		return fmt.Errorf("%s: %w", Spec, err)
	}
	err = showOn("/")
	for _, step := range []func() error{names, confine} {
		if err == nil {
			err = step()
		}
	}
	c, lerr := accept(socket)
	if lerr != nil {
		return errors.Join(err, lerr)
	}
	if werr := guest.WriteBanner(c, err); err != nil || werr != nil {
		return errors.Join(err, werr)
	}
	return serve(c)
}

// accept waits for the launcher at a socket, which nobody else can use.
func accept(path string) (net.Conn, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the launcher: %w", err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	return l.Accept()
}
