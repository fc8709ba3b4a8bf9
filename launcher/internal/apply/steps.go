package apply

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/bottlesuite/bottle/internal/change"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
	"github.com/bottlesuite/bottle/launcher/internal/pki"
)

// step is what changes in one sidecar.
type step struct {
	service string
	file    string // its configuration, from the state directory
	before  []byte
	after   []byte
	// keys are a new certificate and its key, oldKeys what they stand for.
	keys    []bundle.File
	oldKeys []string
}

// steps are the sidecars that a policy changes: pipelockd first, which stands
// behind egressd; superviserd last, which only shows what is in force.
func (d *Desk) steps(p change.Policy) ([]*step, error) {
	var all []*step
	add := func(s *step, err error) error {
		if err == nil && !bytes.Equal(s.before, s.after) {
			all = append(all, s)
		}
		return err
	}
	if err := add(d.pipelock(p)); err != nil {
		return nil, err
	}
	if p.Egress {
		if err := add(d.egress(p)); err != nil {
			return nil, err
		}
	}
	if len(p.Remotes) > 0 {
		if err := add(d.git(p)); err != nil {
			return nil, err
		}
	}
	return all, add(d.supervise(p))
}

func (d *Desk) pipelock(p change.Policy) (*step, error) {
	s, c := &step{service: "pipelock", file: "config/pipelockd.yaml"}, wire.Pipelockd{}
	if err := d.read(s, &c); err != nil {
		return nil, err
	}
	was := change.Policy{Allow: c.Allow}.Dialled()
	c.Allow = p.Allow
	if err := d.reissue(s, &c.CA, was, p.Dialled()); err != nil {
		return nil, err
	}
	return s, s.encode(c)
}

func (d *Desk) egress(p change.Policy) (*step, error) {
	s, c := &step{service: "egress", file: "config/egressd.yaml"}, wire.Egressd{}
	if err := d.read(s, &c); err != nil {
		return nil, err
	}
	was := change.Policy{Routes: c.Routes}.Hosts()
	c.Routes = p.Routes
	if err := d.reissue(s, &c.CA, was, p.Hosts()); err != nil {
		return nil, err
	}
	return s, s.encode(c)
}

func (d *Desk) git(p change.Policy) (*step, error) {
	s, c := &step{service: "git-gate", file: "config/gitgated.yaml"}, wire.Gitgated{}
	if err := d.read(s, &c); err != nil {
		return nil, err
	}
	c.Allowances = p.Findings
	return s, s.encode(c)
}

func (d *Desk) supervise(p change.Policy) (*step, error) {
	s, c := &step{service: "supervise", file: "config/superviserd.yaml"}, wire.Superviserd{}
	if err := d.read(s, &c); err != nil {
		return nil, err
	}
	c.Policy = bundle.View(p)
	return s, s.encode(c)
}

func (d *Desk) read(s *step, v any) (err error) {
	if s.before, err = os.ReadFile(d.State.Path(s.file)); err != nil {
		return fmt.Errorf("cannot read the configuration of %s: %w", s.service, err)
	}
	return wire.Decode(s.file, s.before, 1, v)
}

func (s *step) encode(v any) (err error) {
	s.after, err = bundle.Encode(v)
	return err
}

// reissue makes a certificate for other names, in files of another name: the
// configuration leads to the old pair or to the new one, never to half of each.
func (d *Desk) reissue(s *step, pair *wire.KeyPair, was, patterns []string) error {
	if pki.SameNames(was, patterns) {
		return nil
	}
	rootPEM, err := os.ReadFile(d.State.Path("ca", "roots", s.service+".pem"))
	if err != nil {
		return fmt.Errorf("cannot read the %s root: %w", s.service, err)
	}
	keyPEM, err := os.ReadFile(d.State.Path("ca", "roots", s.service+".key"))
	if err != nil {
		return fmt.Errorf("cannot read the %s root: %w", s.service, err)
	}
	root, rootKey, err := pki.Load(rootPEM, keyPEM)
	if err != nil {
		return err
	}
	a, err := pki.Reissue(s.service, string(d.State.Identity), root, rootKey, patterns)
	if err != nil {
		return err
	}
	key, err := pki.KeyPEM(a.Key)
	if err != nil {
		return err
	}
	local := func(inside string) string { return path.Join("ca", s.service, path.Base(inside)) }
	s.oldKeys = []string{local(pair.Certificate), local(pair.Key)}
	dir, mark := path.Dir(pair.Certificate), fmt.Sprintf("-%d.pem", time.Now().UnixNano())
	pair.Certificate, pair.Key = path.Join(dir, "cert"+mark), path.Join(dir, "key"+mark)
	s.keys = []bundle.File{{Path: local(pair.Certificate), Data: pki.CertPEM(a.Cert)}, {Path: local(pair.Key), Data: key}}
	return nil
}
