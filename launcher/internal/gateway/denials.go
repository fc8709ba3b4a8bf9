package gateway

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/wire"
)

// Bounds of the denials that are remembered.
const (
	remembered = 1024
	tellAgain  = wire.GatewayTellAgain
)

// denials writes denied flows to the audit: every connection that is tried, and
// other flows once in ten seconds. Packets without an address that could be told
// are counted by their cause.
type denials struct {
	record func(audit.Entry)
	count  func(string)
	now    func() time.Time

	mu   sync.Mutex
	seen map[Flow]time.Time
}

func newDenials(record func(audit.Entry), count func(string)) *denials {
	return &denials{record: record, count: count, now: time.Now, seen: map[Flow]time.Time{}}
}

// add takes note of one packet that did not pass.
func (d *denials) add(f Flow) {
	d.count("frames:" + string(f.Cause))
	if !f.Opens {
		f.SrcPort = 0 // a flow is told by where it goes
		if !d.fresh(f) {
			return
		}
	}
	e := audit.Entry{
		Event: "flow", Decision: policy.Deny, Reason: policy.ReasonFlowNotForwarded,
		Method: string(f.Cause), Detail: describe(f),
	}
	if f.Dst.IsValid() {
		e.Host = f.Dst.String()
		if f.DstPort != 0 {
			e.Host = netip.AddrPortFrom(f.Dst, f.DstPort).String()
		}
	}
	d.record(e)
}

// fresh reports whether a flow was not told for a while. A guest that makes up
// more flows than are remembered has them told again.
func (d *denials) fresh(f Flow) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if last, ok := d.seen[f]; ok && now.Sub(last) < tellAgain {
		return false
	}
	if len(d.seen) >= remembered {
		clear(d.seen)
	}
	d.seen[f] = now
	return true
}

func describe(f Flow) string {
	switch f.Cause {
	case TCP:
		return "TCP to what is not a sidecar's port; the guest was sent a reset"
	case UDP:
		return "UDP is not carried, but to the resolver"
	case ICMP:
		return "ICMP is not carried"
	case IPv6:
		return "IPv6 is not carried"
	case ForeignMAC, ForeignIP:
		return "the guest used an address that is not its own"
	case UnknownProto:
		return fmt.Sprintf("the IP protocol %d is not carried", f.Protocol)
	}
	return "the packet was " + string(f.Cause)
}
