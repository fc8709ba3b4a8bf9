package gateway

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/bottlesuite/bottle/launcher/internal/framing"
)

// Bounds of what waits for the guest to take it.
const (
	queued = 1024 // frames; further ones are lost, and TCP sends them again
	batch  = 64   // frames written at once
)

// Link is the network card that the stack sees, with the guest at the other end
// of the wire. At most one attachment serves it at a time.
type Link struct {
	guard    *Guard
	denied   func(Flow)
	counters *counts

	dispatcher atomic.Pointer[stack.NetworkDispatcher]
	out        chan outgoing
	attached   atomic.Bool
	joined     coalescer // used by the one that reads
}

// outgoing is a packet of the stack's, or a frame of the guard's.
type outgoing struct {
	packet *stack.PacketBuffer
	frame  []byte
}

// counts are what the status shows.
type counts struct {
	frames, dropped, reset, lost atomic.Uint64
}

func newLink(g *Guard, denied func(Flow)) *Link {
	return &Link{guard: g, denied: denied, counters: &counts{}, out: make(chan outgoing, queued)}
}

// Serve carries frames until the attachment ends.
func (l *Link) Serve(a framing.Attachment) error {
	l.attached.Store(true)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		l.write(a, stop)
		_ = a.Close() // the reader must not go on alone
	})
	err := l.read(a)
	l.attached.Store(false)
	close(stop)
	_ = a.Close()
	writer.Wait()
	return err
}

func (l *Link) read(a framing.Attachment) error {
	l.joined.n = 0                      // what an earlier guest left
	limit := etherLen + l.guard.MTU + 1 // by which the guard sees what is too long
	for {
		frame, err := a.ReadFrame(limit)
		if err != nil {
			return err
		}
		l.take(frame, a.More())
	}
}

// take works off one frame of the guest's. More says that another one is there.
func (l *Link) take(frame []byte, more bool) {
	l.counters.frames.Add(1)
	verdict, flow := l.guard.Judge(frame)
	switch verdict {
	case Pass:
		l.pass(frame, more)
		return
	case Reset:
		l.counters.reset.Add(1)
		l.send(outgoing{frame: resetFor(frame)})
	case Drop:
		l.counters.dropped.Add(1)
	}
	l.denied(flow)
	if !more {
		l.deliver(typeIPv4, l.joined.take())
	}
}

// pass gives the stack a frame of its own, or as a part of a longer packet. What
// the stack sees keeps its order.
func (l *Link) pass(frame []byte, more bool) {
	kind, packet := header.Ethernet(frame).Type(), frame[etherLen:]
	if kind == typeIPv4 { // behind the packet there may be padding
		packet = packet[:binary.BigEndian.Uint16(packet[atTotal:])]
	}
	if kind != typeIPv4 || !l.joined.join(packet) {
		l.deliver(typeIPv4, l.joined.take())
		if kind != typeIPv4 || !more || !l.joined.begin(packet) {
			l.deliver(kind, packet)
		}
	}
	if !more {
		l.deliver(typeIPv4, l.joined.take())
	}
}

// deliver hands the stack a packet, if there is one.
func (l *Link) deliver(kind tcpip.NetworkProtocolNumber, packet []byte) {
	d := l.dispatcher.Load()
	if d == nil || len(packet) == 0 {
		return
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	(*d).DeliverNetworkPacket(kind, p)
	p.DecRef()
}

// send puts something into the queue, or loses it.
func (l *Link) send(o outgoing) {
	if l.attached.Load() {
		select {
		case l.out <- o:
			return
		default:
		}
	}
	l.counters.lost.Add(1)
	o.release()
}

func (o outgoing) release() {
	if o.packet != nil {
		o.packet.DecRef()
	}
}

func (o outgoing) pieces(to net.Buffers) net.Buffers {
	if o.packet == nil {
		return append(to, o.frame)
	}
	return append(to, o.packet.AsSlices()...)
}

// write moves the queue to the guest, as many frames at once as there are.
func (l *Link) write(a framing.Attachment, stop <-chan struct{}) {
	var (
		taken  [batch]outgoing
		frames [batch]net.Buffers
	)
	for {
		select {
		case <-stop:
			return
		case taken[0] = <-l.out:
		}
		n := 1
	more:
		for ; n < batch; n++ {
			select {
			case taken[n] = <-l.out:
			default:
				break more
			}
		}
		for i := range n {
			frames[i] = taken[i].pieces(frames[i][:0])
		}
		err := a.WriteFrames(frames[:n])
		for i := range n {
			taken[i].release()
			taken[i] = outgoing{}
		}
		if err != nil {
			return
		}
	}
}

// WritePackets implements [stack.LinkEndpoint].
func (l *Link) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	for _, p := range packets.AsSlice() {
		dst := tcpip.LinkAddress(l.guard.GuestMAC[:]) // the only one there is
		header.Ethernet(p.LinkHeader().Push(etherLen)).Encode(&header.EthernetFields{
			Type: p.NetworkProtocolNumber, SrcAddr: l.LinkAddress(), DstAddr: dst,
		})
		l.send(outgoing{packet: p.IncRef()})
	}
	return packets.Len(), nil
}

// Attach implements [stack.LinkEndpoint].
func (l *Link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.dispatcher.Store(nil)
		return
	}
	l.dispatcher.Store(&d)
}

// IsAttached implements [stack.LinkEndpoint].
func (l *Link) IsAttached() bool { return l.dispatcher.Load() != nil }

// MTU implements [stack.LinkEndpoint].
func (l *Link) MTU() uint32 { return uint32(l.guard.MTU) }

// SetMTU implements [stack.LinkEndpoint]; the MTU is fixed.
func (l *Link) SetMTU(uint32) {}

// MaxHeaderLength implements [stack.LinkEndpoint].
func (l *Link) MaxHeaderLength() uint16 { return etherLen }

// LinkAddress implements [stack.LinkEndpoint].
func (l *Link) LinkAddress() tcpip.LinkAddress { return tcpip.LinkAddress(l.guard.GatewayMAC[:]) }

// SetLinkAddress implements [stack.LinkEndpoint]; the address is fixed.
func (l *Link) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities implements [stack.LinkEndpoint]. Checksums of what arrives are the
// guest's own concern: it can damage its data as it likes.
func (l *Link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired | stack.CapabilityRXChecksumOffload
}

// ARPHardwareType implements [stack.LinkEndpoint].
func (l *Link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// AddHeader implements [stack.LinkEndpoint]; WritePackets does it.
func (l *Link) AddHeader(*stack.PacketBuffer) {}

// ParseHeader implements [stack.LinkEndpoint]; the guard has done it.
func (l *Link) ParseHeader(*stack.PacketBuffer) bool { return true }

// Wait implements [stack.LinkEndpoint].
func (l *Link) Wait() {}

// Close implements [stack.LinkEndpoint].
func (l *Link) Close() {}

// SetOnCloseAction implements [stack.LinkEndpoint].
func (l *Link) SetOnCloseAction(func()) {}
