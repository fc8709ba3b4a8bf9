package main

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/meter"
	"github.com/bottlesuite/bottle/internal/policy"
)

// entry describes the exchange's outcome for the audit log.
func (x *exchange) entry(status int) audit.Entry {
	d := x.outcome()
	e := audit.Entry{
		Event: "request", Decision: d.Verdict, Reason: d.Reason, Rule: d.Rule,
		Method: x.method, Host: x.shownHost(), Path: x.path,
		Status: status, Duration: time.Since(x.started), RequestID: x.id,
	}
	x.noted.mu.Lock()
	defer x.noted.mu.Unlock()
	switch {
	case !d.OK():
		e.Detail = d.Detail
	case len(x.noted.what) > 0:
		e.Detail = strings.Join(x.noted.what, "; ")
		if x.noted.redacted {
			e.Decision = policy.Redact
		}
	}
	if x.body != nil {
		e.BytesIn = x.body.Bytes()
	}
	return e
}

// recordName records a DNS question that was answered with NXDOMAIN.
func (s *service) recordName(name, qtype string) {
	s.Record(audit.Entry{
		Event: "dns", Decision: policy.Deny, Reason: policy.ReasonNameNotAnswered,
		Method: qtype, Host: masked(name), RequestID: audit.NewRequestID(),
	})
}

// response keeps what an upgrade needs beside what is metered.
type response struct {
	meter.Response
	// hijack, if set, takes over after an upgrade.
	hijack func(net.Conn, *bufio.ReadWriter) net.Conn
}

// Hijack implements [http.Hijacker], for upgrades.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijack == nil {
		return nil, nil, http.ErrNotSupported
	}
	c, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.Status = http.StatusSwitchingProtocols
	return w.hijack(c, rw), rw, nil
}

// removeOurs removes the fields that only the bottle itself may set.
func removeOurs(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Bottle-") || strings.HasPrefix(name, "X-Bottle-") {
			delete(h, name)
		}
	}
}
