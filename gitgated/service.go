package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bottlesuite/bottle/gitgated/internal/mirror"
	"github.com/bottlesuite/bottle/gitgated/internal/sshlink"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/gitremote"
	"github.com/bottlesuite/bottle/internal/secret"
	"github.com/bottlesuite/bottle/internal/wire"
)

// inForce is what a reload swaps: remotes and approved findings.
type inForce struct {
	remotes    map[string]*remote
	allowances map[allowance]time.Time
}

// allowance is one approved finding.
type allowance struct{ object, rule string }

// allowed reports whether a finding is approved and the approval has not expired.
func (p *inForce) allowed(object, rule string) bool {
	until, ok := p.allowances[allowance{object, rule}]
	return ok && time.Now().Before(until)
}

// remote is a declared remote with its mirror.
type remote struct {
	wire.GitRemote
	upstream gitremote.Upstream
	mirror   *mirror.Mirror
	token    secret.String // for LFS
	// pushing lets one push at a time through, so that each is judged against
	// what the one before left.
	pushing *sync.Mutex
}

// keep is what of a remote outlives a reload.
type keep struct {
	mirror  *mirror.Mirror
	pushing *sync.Mutex
}

// service is a running gitgated.
type service struct {
	*daemon.Recorder
	log    *slog.Logger
	config wire.Gitgated
	engine *mirror.Engine
	policy atomic.Pointer[inForce]
	kept   map[string]keep // by name and upstream; Reload alone touches it
	lfs    *http.Client

	reads, pushes gate
	http, git     net.Listener
}

func newService(c *wire.Gitgated, env daemon.Env) (daemon.Service[wire.Gitgated], error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot tell where this program is: %w", err)
	}
	s := &service{
		Recorder: daemon.NewRecorder(env), log: env.Log, config: *c, kept: map[string]keep{},
		reads: newGate(maxReads), pushes: newGate(maxPushes),
	}
	if s.engine, err = mirror.Open(c.State, self, c.UpstreamCA); err != nil {
		return nil, err
	}
	if err := s.open(c); err != nil {
		return nil, errors.Join(err, s.engine.Close())
	}
	return s, nil
}

func (s *service) open(c *wire.Gitgated) (err error) {
	if s.lfs, err = newLFSClient(s.engine.Roots()); err != nil {
		return err
	}
	p, err := s.load(c)
	if err != nil {
		return err
	}
	s.policy.Store(p)
	for _, l := range []struct {
		address string
		to      *net.Listener
	}{{c.Listen.HTTP, &s.http}, {c.Listen.Git, &s.git}} {
		if l.address == "" {
			continue
		}
		if *l.to, err = listen(l.address); err != nil {
			return err
		}
	}
	return nil
}

// load prepares remotes and checks their credentials as far as that goes
// without connecting.
func (s *service) load(c *wire.Gitgated) (*inForce, error) {
	p := &inForce{remotes: map[string]*remote{}, allowances: map[allowance]time.Time{}}
	for i, r := range c.Remotes {
		u, err := gitremote.Parse(r.Upstream)
		if err != nil {
			return nil, err
		}
		to := &remote{GitRemote: r, upstream: u}
		setDefaults(&to.Limits)
		link := mirror.Link{Upstream: u}
		switch {
		case u.Scheme == gitremote.SSH:
			if _, err := sshlink.ReadIdentity(r.IdentityFile); err != nil {
				return nil, fmt.Errorf("remotes[%d].identity_file: %w", i, err)
			}
			user := u.User
			if user == "" {
				user = "git"
			}
			link.SSH = sshlink.Server{Address: u.Address(), User: user, IdentityFile: r.IdentityFile, KnownHostKey: r.KnownHostKey}
		case r.TokenRef != "":
			link.TokenFile = filepath.Join(c.SecretsDir, r.TokenRef)
			if to.token, err = secret.ReadFile(link.TokenFile); err != nil {
				return nil, fmt.Errorf("remotes[%d].token_ref: %w", i, err)
			}
		}
		if err := s.attach(to, link); err != nil {
			return nil, err
		}
		p.remotes[r.Name] = to
	}
	for _, a := range c.Allowances {
		p.allowances[allowance{a.Object, a.Rule}] = a.Expires.Time
	}
	return p, nil
}

// attach finds or makes the mirror of a remote.
func (s *service) attach(r *remote, link mirror.Link) (err error) {
	id := r.Name + " " + r.upstream.URL()
	k, ok := s.kept[id]
	if ok {
		err = k.mirror.Relink(link)
	} else {
		k.pushing = new(sync.Mutex)
		k.mirror, err = s.engine.Mirror(context.Background(), r.Name, link)
	}
	if err != nil {
		return err
	}
	s.kept[id] = k
	r.mirror, r.pushing = k.mirror, k.pushing
	return nil
}

// setDefaults fills the limits that a remote leaves out.
func setDefaults(l *wire.GitLimits) {
	if l.MaxPushBytes == 0 {
		l.MaxPushBytes = 2 << 30
	}
	if l.MaxObjectBytes == 0 {
		l.MaxObjectBytes = 1 << 30
	}
	if l.MaxObjects == 0 {
		l.MaxObjects = 2_000_000
	}
	if l.MaxRefs == 0 {
		l.MaxRefs = 1000
	}
	if l.MaxTime == 0 {
		l.MaxTime = wire.Duration(15 * time.Minute)
	}
}

// Reload swaps remotes, their credentials and the approved findings.
func (s *service) Reload(c *wire.Gitgated) error {
	was := s.config
	if c.Listen != was.Listen || c.Audit != was.Audit || c.Bottle != was.Bottle || c.State != was.State || !slices.Equal(c.UpstreamCA, was.UpstreamCA) {
		return errors.New("a reload changes remotes, credentials, ages and allowances only; restart gitgated for another bottle, listen, state, upstream_ca or audit")
	}
	p, err := s.load(c)
	if err != nil {
		return err
	}
	s.policy.Store(p)
	return nil
}

// shutdownTime is how long requests may go on after the end was asked for.
const shutdownTime = 2 * time.Second

// Serve works until ctx ends.
func (s *service) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 2)
	if s.http != nil {
		go func() { failed <- server.Serve(s.http) }()
	}
	if s.git != nil {
		go func() { failed <- s.serveGit(ctx, s.git) }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	cancel()
	stop, done := context.WithTimeout(context.Background(), shutdownTime)
	defer done()
	if server.Shutdown(stop) != nil {
		_ = server.Close()
	}
	if s.git != nil {
		_ = s.git.Close()
	}
	return errors.Join(err, s.engine.Close())
}
