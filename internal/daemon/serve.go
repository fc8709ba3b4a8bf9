package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/wire"
)

// loaded is a configuration with the hash of the file that it came from.
type loaded[C any] struct {
	config *C
	sha256 string
}

// load reads and judges a configuration file. With an error in its contents it
// returns what was decoded, too.
func (s Spec[C]) load(file string) (*loaded[C], error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, badInput("%s: cannot read the configuration: %w", s.Name, err)
	}
	sum := sha256.Sum256(data)
	l := &loaded[C]{sha256: hex.EncodeToString(sum[:])}
	doc, err := wire.Parse(file, data, 1)
	if err != nil {
		return nil, &ExitError{2, err}
	}
	c := new(C)
	l.config = c
	if err := doc.Decode(c); err != nil {
		return l, &ExitError{2, err}
	}
	if err := s.validate(doc, c); err != nil {
		return l, &ExitError{2, err}
	}
	return l, nil
}

func (s Spec[C]) validate(doc *wire.Doc, c *C) error {
	b := s.Basics(c)
	if b.Version != wire.Version {
		return doc.Errorf("version", "version %d is not known to %s %s; it reads version %d", b.Version, s.Name, Version, wire.Version)
	}
	host, _, err := net.SplitHostPort(b.Admin)
	if err != nil {
		return doc.Errorf("listen.admin", "listen.admin must be host:port: %v", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return doc.Errorf("listen.admin", "listen.admin must be a loopback address, such as 127.0.0.1:9901, not %q", b.Admin)
	}
	switch {
	case b.Audit.File == "":
		return doc.Errorf("audit.file", "audit.file is missing: decisions must be recorded somewhere")
	case b.Audit.Keep < 0:
		return doc.Errorf("audit.keep", "audit.keep is a number of files; 0 keeps all")
	}
	return s.Validate(doc, c)
}

// state is what admin and reload share.
type state struct {
	mu        sync.Mutex
	sha256    string
	loadedAt  time.Time
	lastError string
}

func (s Spec[C]) serve(ctx context.Context, file string, stdio Stdio) error {
	l, err := s.load(file)
	if err != nil {
		return err
	}
	tuneGC()
	tuneProcessors()
	b := s.Basics(l.config)
	log := slog.New(slog.NewJSONHandler(stdio.Out, nil)).With("component", s.Name, "bottle", b.Bottle)
	trail, err := audit.OpenRotating(b.Audit.File, s.Name, b.Bottle, rotation(b.Audit))
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	defer trail.Close()
	svc, err := s.New(l.config, Env{Log: log, Audit: trail})
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if err := trail.Write(audit.Entry{Event: "start", Detail: "configuration " + l.sha256}); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	st := &state{sha256: l.sha256, loadedAt: time.Now()}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go watch(ctx, file, l.sha256, func() { s.reload(file, svc, st, log, trail) })

	admin, err := net.Listen("tcp", b.Admin)
	if err != nil {
		return fmt.Errorf("%s: cannot listen for health and status: %w", s.Name, err)
	}
	adminServer := &http.Server{Handler: s.admin(b.Bottle, svc, st), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = adminServer.Serve(admin) }()
	defer adminServer.Close()

	log.Info("ready", "version", Version, "config_sha256", l.sha256)
	err = svc.Serve(ctx)
	log.Info("stopped")
	return errors.Join(err, trail.Write(audit.Entry{Event: "stop"}))
}

func rotation(a wire.Audit) audit.Rotation {
	if a.MaxBytes == 0 {
		a.MaxBytes = wire.DefaultAuditBytes
	}
	return audit.Rotation{MaxBytes: int64(a.MaxBytes), Keep: a.Keep}
}

// reload puts the file into force when it is good, and keeps what is in force
// when it is not.
func (s Spec[C]) reload(file string, svc Service[C], st *state, log *slog.Logger, trail *audit.Log) {
	l, err := s.load(file)
	if err == nil {
		err = svc.Reload(l.config)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err != nil {
		st.lastError = err.Error()
		log.Error("reload refused, the last good configuration stays in force", "error", err, "config_sha256", st.sha256)
		_ = trail.Write(audit.Entry{Event: "reload", Detail: "refused: " + err.Error()}) // the log above has it too
		return
	}
	st.sha256, st.loadedAt, st.lastError = l.sha256, time.Now(), ""
	log.Info("reloaded", "config_sha256", l.sha256)
	if err := trail.Write(audit.Entry{Event: "reload", Detail: "configuration " + l.sha256}); err != nil {
		log.Error("the reload is not in the audit log", "error", err)
	}
}

// admin serves health, status and metrics.
func (s Spec[C]) admin(bottle string, svc Service[C], st *state) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		st.mu.Lock()
		defer st.mu.Unlock()
		_ = writeStatus(w, wire.Status{
			Component: s.Name, Version: Version, Bottle: bottle,
			ConfigSHA256: st.sha256, LoadedAt: st.loadedAt.UTC().Format(time.RFC3339),
			LastError: st.lastError, Counters: svc.Counters(),
		})
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, s.Name, svc.Counters(), st)
		if own, ok := svc.(MetricsWriter); ok {
			own.WriteMetrics(w, s.Name)
		}
	})
	if own, ok := svc.(AdminHandler); ok {
		own.HandleAdmin(mux)
	}
	return mux
}
