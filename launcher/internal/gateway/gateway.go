package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/containers/gvisor-tap-vsock/pkg/services/dhcp"
	"github.com/containers/gvisor-tap-vsock/pkg/tap"
	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/dnsanswer"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/framing"
)

// Gateway is a running gateway.
type Gateway struct {
	recorder *daemon.Recorder
	log      *slog.Logger
	net      *network
	link     *Link
	stack    *stack.Stack
	dns      *dnsanswer.Server
	dhcp     *dhcp.Server
	ports    []net.Listener // as net.forwards
	slots    chan struct{}
	dialer   net.Dialer
	// attach waits for the next attachment.
	attach attacher

	mu sync.Mutex
	// guest ends with the attachment that there is.
	guest context.Context
}

// Run is the whole program.
func Run(ctx context.Context, args, env []string, stdio daemon.Stdio) error {
	return daemon.Run(ctx, daemon.Spec[wire.Gateway]{
		Name:     "gateway",
		Summary:  "the network of one virtual machine, which leads to the bottle's sidecars only",
		Admin:    "127.0.0.1:9905",
		Basics:   basics,
		Validate: validate,
		Check:    check,
		New:      newService,
	}, args, env, stdio)
}

func newService(c *wire.Gateway, env daemon.Env) (daemon.Service[wire.Gateway], error) {
	attach, err := newAttacher(c.Interfaces)
	if err != nil {
		return nil, err
	}
	g, err := New(c, env)
	if err != nil {
		return nil, errors.Join(err, attach.Close())
	}
	g.attach = attach
	return g, nil
}

// New builds a gateway out of a configuration that was judged to be good.
func New(c *wire.Gateway, env daemon.Env) (*Gateway, error) {
	n, err := understand(&wire.Doc{}, c)
	if err != nil {
		return nil, err
	}
	g := &Gateway{recorder: daemon.NewRecorder(env), log: env.Log, net: n, slots: make(chan struct{}, maxConns), guest: context.Background()}
	g.link = newLink(n.guard, newDenials(g.recorder.Record, g.recorder.Count).add)
	if g.stack, err = newStack(n, g.link); err != nil {
		return nil, err
	}
	if err := g.open(c); err != nil {
		g.stack.Destroy()
		return nil, err
	}
	return g, nil
}

// open takes the ports of the guest's network.
func (g *Gateway) open(c *wire.Gateway) error {
	resolver := tcpip.FullAddress{NIC: nic, Addr: address(g.net.guard.Gateway), Port: portDNS}
	udp, err := listenUDP(g.stack, resolver)
	if err != nil {
		return fmt.Errorf("cannot answer names: %w", err)
	}
	tcp, err := listenTCP(g.stack, resolver)
	if err != nil {
		return fmt.Errorf("cannot answer names: %w", err)
	}
	if g.dns, err = dnsanswer.New(wire.DNS{Names: g.net.names}, udp, tcp, g.nameDenied); err != nil {
		return err
	}
	for _, f := range g.net.forwards {
		l, err := g.listen(f)
		if err != nil {
			return fmt.Errorf("cannot forward %s: %w", f.listen, err)
		}
		g.ports = append(g.ports, l)
	}
	pool := tap.NewIPPool(&net.IPNet{IP: g.net.subnet.Addr().AsSlice(), Mask: mask(g.net.subnet)})
	mac := net.HardwareAddr(g.net.guard.GuestMAC[:]).String()
	pool.Reserve(g.net.guard.Guest.AsSlice(), mac)
	for _, a := range g.net.served {
		pool.Reserve(a.AsSlice(), net.HardwareAddr(g.net.guard.GatewayMAC[:]).String()+"/"+a.String())
	}
	g.dhcp, err = dhcp.New(&types.Configuration{
		MTU: c.Stack.MTU, Subnet: c.Stack.Subnet, GatewayIP: c.Stack.GatewayIP,
	}, g.stack, pool)
	if err != nil {
		return fmt.Errorf("cannot lend the guest its address: %w", err)
	}
	return nil
}

func (g *Gateway) nameDenied(name, qtype string) {
	g.recorder.Record(audit.Entry{
		Event: "dns", Decision: policy.Deny, Reason: policy.ReasonNameNotAnswered, Method: qtype, Host: name,
		Detail: "the name is not one of the bottle's",
	})
}

// Serve works until ctx ends.
func (g *Gateway) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := g.dns.Serve(ctx); err != nil {
			g.log.Error("names are not answered any more", "error", err)
		}
	})
	parts.Go(func() { _ = g.dhcp.Serve() }) // it ends with its socket
	for i, f := range g.net.forwards {
		parts.Go(func() { g.accept(ctx, f, g.ports[i]) })
	}
	defer func() {
		cancel()
		for _, l := range g.ports {
			_ = l.Close()
		}
		_ = g.dhcp.Underlying.Close()
		g.stack.Close() // which ends what is left, DHCP's socket among it
		parts.Wait()
		g.stack.Destroy()
	}()
	if g.attach == nil {
		<-ctx.Done()
		return nil
	}
	return g.attachments(ctx)
}

// attachments serves one guest after the other.
func (g *Gateway) attachments(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = g.attach.Close() })()
	for {
		a, err := g.attach.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the guest cannot be attached: %w", err)
		}
		g.log.Info("the guest is attached")
		g.recorder.Record(audit.Entry{Event: "attach"})
		err = g.Attach(ctx, a)
		g.log.Info("the guest is detached", "cause", err.Error())
		g.recorder.Record(audit.Entry{Event: "detach", Detail: err.Error()})
		select { // a guest that comes and goes must not keep a processor busy
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Attach carries the frames of one attachment until it ends, and with it the guest's
// connections: the next guest knows nothing of them.
func (g *Gateway) Attach(ctx context.Context, a framing.Attachment) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = a.Close() })()
	g.mu.Lock()
	g.guest = ctx
	g.mu.Unlock()
	return g.link.Serve(a)
}

// present is the context of the guest that is attached.
func (g *Gateway) present() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.guest
}

// Reload is refused: what is open would go on under another policy.
func (g *Gateway) Reload(*wire.Gateway) error {
	return errors.New("a gateway is not reloaded; restart it for another network")
}

// Counters implements that part of [daemon.Service].
func (g *Gateway) Counters() map[string]uint64 {
	c, l := g.recorder.Counters(), g.link.counters
	c["frames"], c["frames_dropped"], c["frames_reset"], c["frames_lost"] = l.frames.Load(), l.dropped.Load(), l.reset.Load(), l.lost.Load()
	return c
}

// check says whether a guest could open a connection: the URL is
// tcp://address:port.
func check(c *wire.Gateway, _, raw string) (policy.Decision, error) {
	path, err := netip.ParseAddrPort(trimScheme(raw))
	if err != nil {
		return policy.Decision{}, fmt.Errorf("%q is not tcp://address:port", raw)
	}
	for _, f := range c.Bottle.Forwards {
		if f.Listen == path.String() {
			return policy.Allowed("bottle.forwards " + f.Name), nil
		}
	}
	return policy.Denied(policy.ReasonFlowNotForwarded, "", "The gateway forwards no connection to "+path.String()+"."), nil
}
