package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/secret"
)

// checkGit judges the git remotes. The keys themselves are read at the start.
func (b *Bottle) checkGit(k *bottleKeys) error {
	if i, field, err := gitremote.ValidateAll(k.Git); err != nil {
		return b.errorf(fmt.Sprintf("git[%d].%s", i, field), "%v", err)
	}
	for i, r := range k.Git {
		if r.KnownHostKey != "" {
			if _, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(r.KnownHostKey)); err != nil || len(options) > 0 || len(rest) > 0 {
				return b.errorf(fmt.Sprintf("git[%d].known_host_key", i), `known_host_key is not a key such as "ssh-ed25519 AAAA..."; take it from the server's operator, or from "ssh-keyscan HOST" after comparing the fingerprint`)
			}
		}
		r.IdentityFile = expand(r.IdentityFile, filepath.Dir(b.File), b.userHome)
		b.Git = append(b.Git, r)
	}
	return nil
}

// GitSecret is a key or token that gitgated holds.
type GitSecret struct {
	// Name is that of its file in the gate.
	Name string
	// File is the key's place on the host, "" for a token of the environment.
	File string
	at   string // its place in the manifest
}

// KeyName is how the gate calls the key of a remote.
func KeyName(remote string) string {
	return "GIT_KEY_" + strings.ToUpper(strings.ReplaceAll(remote, "-", "_"))
}

// GitSecrets are what gitgated is given, each once.
func (b *Bottle) GitSecrets() []GitSecret {
	var out []GitSecret
	for i, r := range b.Git {
		s := GitSecret{Name: r.TokenRef, at: fmt.Sprintf("git[%d].token_ref", i)}
		if r.IdentityFile != "" {
			s = GitSecret{Name: KeyName(r.Name), File: r.IdentityFile, at: fmt.Sprintf("git[%d].identity_file", i)}
		}
		if s.Name != "" && !slices.ContainsFunc(out, func(o GitSecret) bool { return o.Name == s.Name }) {
			out = append(out, s)
		}
	}
	return out
}

// GitSecretNames are their names.
func (b *Bottle) GitSecretNames() []string {
	var names []string
	for _, s := range b.GitSecrets() {
		names = append(names, s.Name)
	}
	return names
}

// ReadGitSecrets reads the keys from their files and the tokens by lookup. A key
// that could not be used in the gate is an error at its place in the manifest.
func (b *Bottle) ReadGitSecrets(lookup func(string) (string, bool)) (map[string]secret.String, error) {
	out := map[string]secret.String{}
	for _, s := range b.GitSecrets() {
		if s.File == "" {
			v, ok := lookup(s.Name)
			if !ok || v == "" {
				return nil, b.errorf(s.at, "the environment variable %s, the token for this remote, is not set; export it before the start", s.Name)
			}
			if err := secret.Check(v); err != nil {
				return nil, b.errorf(s.at, "the environment variable %s cannot be sent (%v); correct it", s.Name, err)
			}
			out[s.Name] = secret.New(v)
			continue
		}
		key, err := readKey(s.File)
		if err != nil {
			return nil, b.errorf(s.at, "%v", err)
		}
		out[s.Name] = key
	}
	return out, nil
}

// maxKey bounds a key file; a larger one is a mistake.
const maxKey = 64 << 10

func readKey(file string) (secret.String, error) {
	fi, err := os.Stat(file)
	switch {
	case err != nil:
		return secret.String{}, fmt.Errorf("cannot read the private key: %w", err)
	case !fi.Mode().IsRegular() || fi.Size() > maxKey:
		return secret.String{}, fmt.Errorf("%s is no private key (an agent's socket is not used); name the file that holds the key", file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return secret.String{}, fmt.Errorf("cannot read the private key: %w", err)
	}
	_, err = ssh.ParseRawPrivateKey(data)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked):
		return secret.String{}, fmt.Errorf("the private key %s is encrypted, and nobody in the bottle can be asked for its passphrase; make a key for this bottle with ssh-keygen -t ed25519 -N '' and give it to the server as a deploy key", file)
	case err != nil:
		return secret.String{}, fmt.Errorf("%s is not a private key: %w", file, err)
	}
	return secret.New(string(data)), nil
}
