package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bottlesuite/bottle/launcher/internal/provider"
)

// maxDockerfile bounds a Dockerfile; a larger one is a mistake.
const maxDockerfile = 256 << 10

func (b *Bottle) checkProvider(k *bottleKeys) error {
	name := k.AgentProvider.Template
	if name == "" {
		name = provider.Default
	}
	var err error
	if b.Provider, err = provider.Find(name); err != nil {
		return b.errorf("agent_provider.template", "%v", err)
	}
	b.Dockerfile = expand(k.AgentProvider.Dockerfile, filepath.Dir(b.File), b.userHome)
	if b.Dockerfile == "" {
		return nil
	}
	if _, err := b.ReadDockerfile(); err != nil {
		return err
	}
	return nil
}

// ReadDockerfile returns what the operator builds on top of the provider's image,
// nil when that is nothing.
func (b *Bottle) ReadDockerfile() ([]byte, error) {
	const at = "agent_provider.dockerfile"
	if b.Dockerfile == "" {
		return nil, nil
	}
	fi, err := os.Stat(b.Dockerfile)
	if err == nil && (!fi.Mode().IsRegular() || fi.Size() > maxDockerfile) {
		err = fmt.Errorf("it is no plain file of at most %d KiB", maxDockerfile>>10)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(b.Dockerfile)
	}
	if err != nil {
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err // which file it is, stands there already
		}
		return nil, b.errorf(at, "cannot read the Dockerfile %s: %v", b.Dockerfile, err)
	}
	return data, nil
}
