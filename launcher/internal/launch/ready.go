package launch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/compose"
	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/launcher/internal/bundle"
)

// Times of the wait for a sidecar.
const (
	readyTime  = 20 * time.Second       // that bounds it
	lookEvery  = 5 * time.Millisecond   // between two looks at its audit log
	aliveEvery = 500 * time.Millisecond // between two questions whether it lives
)

// auditLog is where a sidecar writes its audit.
func (b *Bottle) auditLog(service string) string {
	return b.state.Path("audit", service, strings.TrimPrefix(binaries[service], "/")+".jsonl")
}

// configFile is the configuration of a sidecar.
func (b *Bottle) configFile(service string) string {
	if service == "gateway" {
		return b.state.Path(bundle.GatewayFile)
	}
	return b.state.Path("config", strings.TrimPrefix(binaries[service], "/")+".yaml")
}

// ready waits until a sidecar has written that it serves with the configuration that
// was made for it: its sockets are open by then. That line is on the host, so it
// costs no program in the container; of one that died is not waited for.
func (b *Bottle) ready(ctx context.Context, service string) error {
	config, err := os.ReadFile(b.configFile(service))
	if err != nil {
		return fmt.Errorf("cannot read the configuration of %s: %w", service, err)
	}
	sum := sha256.Sum256(config)
	want := "configuration " + hex.EncodeToString(sum[:])
	began, asked := time.Now(), time.Now()
	for {
		if started(b.auditLog(service), b.audited[service], want) {
			return nil
		}
		if time.Since(asked) > aliveEvery {
			if err := b.alive(ctx, service); err != nil {
				return err
			}
			asked = time.Now()
		}
		if time.Since(began) > readyTime {
			return fmt.Errorf("%s is not ready after %s; its last lines were:\n%s", service, readyTime, indent(b.host.Engine.Tail(ctx, container(b.Spec.Identity, service), 5)))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lookEvery):
		}
	}
}

// started reports whether an audit log holds, behind a place, a line of a start with
// that detail.
func started(file string, from int64, detail string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	const most = 1 << 20
	data, err := io.ReadAll(io.NewSectionReader(f, from, most))
	if err != nil {
		return false
	}
	for raw := range bytes.Lines(data) {
		var l audit.Line
		if bytes.HasSuffix(raw, []byte("\n")) && json.Unmarshal(raw, &l) == nil && l.Event == "start" && l.Detail == detail {
			return true
		}
	}
	return false
}

// alive returns an error when the container of a service has ended.
func (b *Bottle) alive(ctx context.Context, service string) error {
	name := container(b.Spec.Identity, service)
	cs, err := b.host.Engine.Containers(ctx, "com.docker.compose.project="+compose.Project(string(b.Spec.Identity)))
	if err != nil {
		return err
	}
	for _, c := range cs {
		if strings.TrimPrefix(c.Name, "/") == name && !c.State.Running {
			return fmt.Errorf("%s ended with status %d right after its start; its last lines were:\n%s",
				service, c.State.ExitCode, indent(b.host.Engine.Tail(ctx, name, 5)))
		}
	}
	return nil
}
