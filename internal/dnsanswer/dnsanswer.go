// Package dnsanswer is the only name server that a guest can ask. It answers
// the addresses of the bottle's sidecars and says that nothing else exists.
// It never asks anyone: DNS is a way out, and a name that is looked up is a
// message that is sent. A quick NXDOMAIN also spares the guest the many seconds
// for which a resolver waits when nobody answers.
//
// Names that do not exist here are reported, at a bounded rate, because a guest
// that asks for them either is misconfigured or tries to talk.
package dnsanswer

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/bottlesuite/bottle/internal/wire"
)

const (
	// ttl is short, because a resumed bottle may have other addresses.
	ttl = 30
	// maxMessage is as much as a response is ever allowed to need.
	maxMessage = 512
	// ednsPayload is the UDP size that responses announce.
	ednsPayload = 1232
)

// zone is the pure part: a question in, an answer out.
type zone map[string][4]byte

func newZone(cfg wire.DNS) (zone, error) {
	z := make(zone, len(cfg.Names))
	for name, address := range cfg.Names {
		a, err := netip.ParseAddr(address)
		if err != nil || !a.Is4() {
			return nil, fmt.Errorf("dns.names: %s has the address %q, which is not an IPv4 address", name, address)
		}
		if _, err := dnsmessage.NewName(name + "."); err != nil || name == "" {
			return nil, fmt.Errorf("dns.names: %q is not a DNS name", name)
		}
		z[strings.ToLower(strings.TrimSuffix(name, "."))] = a.As4()
	}
	return z, nil
}

// Validate reports a faulty dns section with its place in doc. An absent one is
// good.
func Validate(doc *wire.Doc, d *wire.DNS) error {
	if d == nil {
		return nil
	}
	if d.Listen == "" {
		return doc.Errorf("dns", "dns.listen is missing")
	}
	if _, err := newZone(*d); err != nil {
		return doc.Errorf("dns.names", "%v", err)
	}
	return nil
}

// denied is a question that was answered with NXDOMAIN.
type denied struct{ name, qtype string }

// answer returns the response to a packet, nil when it deserves none, and the
// question if its name does not exist here.
func (z zone) answer(packet []byte) (response []byte, no *denied) {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil || h.Response {
		return nil, nil // not a question; answering answers would make loops
	}
	out := dnsmessage.Header{
		ID: h.ID, Response: true, OpCode: h.OpCode, Authoritative: true,
		RecursionDesired: h.RecursionDesired, RecursionAvailable: true,
	}
	if h.OpCode != 0 {
		return respond(out, dnsmessage.RCodeNotImplemented, nil, nil, false), nil
	}
	questions, err := p.AllQuestions()
	if err != nil || len(questions) != 1 {
		return respond(out, dnsmessage.RCodeFormatError, nil, nil, false), nil
	}
	edns, err := hasEDNS(&p)
	if err != nil {
		return respond(out, dnsmessage.RCodeFormatError, nil, nil, false), nil
	}
	q := questions[0]
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	address, ok := z[name]
	switch {
	case !ok || q.Class != dnsmessage.ClassINET:
		return respond(out, dnsmessage.RCodeNameError, &q, nil, edns), &denied{printable(name), typeName(q.Type)}
	case q.Type != dnsmessage.TypeA:
		return respond(out, dnsmessage.RCodeSuccess, &q, nil, edns), nil // the name exists, without this
	}
	return respond(out, dnsmessage.RCodeSuccess, &q, &address, edns), nil
}

func hasEDNS(p *dnsmessage.Parser) (bool, error) {
	if err := p.SkipAllAnswers(); err != nil {
		return false, err
	}
	if err := p.SkipAllAuthorities(); err != nil {
		return false, err
	}
	found := false
	for {
		h, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			return found, nil
		}
		if err != nil {
			return false, err
		}
		found = found || h.Type == dnsmessage.TypeOPT
		if err := p.SkipAdditional(); err != nil {
			return false, err
		}
	}
}

// respond builds a message. It returns nil when that fails, which no name that
// the parser accepted makes happen.
func respond(h dnsmessage.Header, code dnsmessage.RCode, q *dnsmessage.Question, a *[4]byte, edns bool) []byte {
	h.RCode = code
	m := dnsmessage.Message{Header: h}
	if q != nil {
		m.Questions = []dnsmessage.Question{*q}
	}
	if a != nil {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: ttl},
			Body:   &dnsmessage.AResource{A: *a},
		}}
	}
	if edns {
		opt := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(".")}
		if opt.SetEDNS0(ednsPayload, 0, false) == nil {
			m.Additionals = []dnsmessage.Resource{{Header: opt, Body: &dnsmessage.OPTResource{}}}
		}
	}
	b, err := m.AppendPack(make([]byte, 0, maxMessage))
	if err != nil {
		return nil
	}
	return b
}

// printable writes a name so that it cannot act on a terminal or a log.
func printable(name string) string {
	q := strconv.QuoteToASCII(name)
	return q[1 : len(q)-1]
}

func typeName(t dnsmessage.Type) string { return strings.TrimPrefix(t.String(), "Type") }
