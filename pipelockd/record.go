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

// recordable turns a permission into a denial while the audit log cannot be
// written.
func (s *service) recordable(d policy.Decision) policy.Decision {
	if err := s.audit.Ready(); err != nil {
		s.log.Error("requests are denied until the audit log can be written", "error", err)
		return policy.Denied(policy.ReasonAuditUnavailable, d.Rule, "The decision could not be recorded, so nothing was sent.")
	}
	return d
}

// begin records that a request is about to be sent on, or says why it may not.
func (s *service) begin(x *exchange) *policy.Decision {
	e := x.entry(0)
	e.Event, e.Decision = "begin", ""
	err := s.audit.Require(e)
	if err == nil {
		return nil
	}
	s.log.Error("requests are denied until the audit log can be written", "error", err)
	return refuse(policy.ReasonAuditUnavailable, "The decision could not be recorded, so nothing was sent.")
}

// record writes an audit line and counts the decision. When the line cannot be
// written the log keeps it, and denies what comes next: see [audit.Log.Ready].
func (s *service) record(e audit.Entry) {
	name := string(e.Decision)
	if e.Reason != "" {
		name += ":" + string(e.Reason)
	}
	s.counters.Add(name, 1)
	if err := s.audit.Write(e); err != nil {
		s.log.Error("an audit line is waiting to be written", "error", err)
	}
}

// entry describes the exchange's outcome for the audit log.
func (x *exchange) entry(status int) audit.Entry {
	d := x.outcome()
	e := audit.Entry{
		Event: "request", Decision: d.Verdict, Reason: d.Reason, Rule: d.Rule,
		Method: x.method, Host: x.shownHost(), Path: x.path,
		Status: status, Duration: time.Since(x.started), RequestID: x.id,
	}
	if !d.OK() {
		e.Detail = d.Detail
	}
	if x.body != nil {
		e.BytesIn = x.body.Bytes()
	}
	return e
}

// recordName records a DNS question that was answered with NXDOMAIN.
func (s *service) recordName(name, qtype string) {
	s.record(audit.Entry{
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
