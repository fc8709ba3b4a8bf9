package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

// Recorder writes decisions to the audit log and counts them. A service embeds
// one. It is safe for concurrent use.
type Recorder struct {
	log      *slog.Logger
	audit    *audit.Log
	counters counters
	traffic  traffic
}

// traffic is what passed, for the metrics.
type traffic struct {
	bytesIn, bytesOut atomic.Int64
	durations         histogram
}

// NewRecorder returns a recorder for what the skeleton lends.
func NewRecorder(env Env) *Recorder { return &Recorder{log: env.Log, audit: env.Audit} }

// Record writes an audit line and counts the decision. When the line cannot be
// written the log keeps it, and [Recorder.Require] denies what comes next.
func (r *Recorder) Record(e audit.Entry) {
	r.count(e)
	if e.Event == "request" && e.Decision != policy.Deny {
		r.traffic.durations.observe(e.Duration)
	}
	r.traffic.bytesIn.Add(e.BytesIn)
	r.traffic.bytesOut.Add(e.BytesOut)
	if err := r.audit.Write(e); err != nil {
		r.log.Error("an audit line is waiting to be written", "error", err)
	}
}

// Begin records that a request is about to be sent on. It returns the denial
// that takes its place when that cannot be recorded, else nil.
func (r *Recorder) Begin(e audit.Entry) *policy.Decision {
	e.Event, e.Decision = "begin", ""
	return r.Require(e)
}

// Require records and counts what may happen only when it is recorded. It
// returns the denial that takes its place when it is not, else nil.
func (r *Recorder) Require(e audit.Entry) *policy.Decision {
	if err := r.audit.Require(e); err != nil {
		r.log.Error("requests are denied until the audit log can be written", "error", err)
		d := policy.Denied(policy.ReasonAuditUnavailable, e.Rule, "The decision could not be recorded, so nothing was sent.")
		return &d
	}
	r.count(e)
	return nil
}

func (r *Recorder) count(e audit.Entry) {
	switch {
	case e.Decision == "":
	case e.Reason == "":
		r.Count(string(e.Decision))
	default:
		r.Count(string(e.Decision) + ":" + string(e.Reason))
	}
}

// Count adds one to the counter name, which must come from a closed set: the
// names stay in memory.
func (r *Recorder) Count(name string) { r.counters.add(name, 1) }

// WriteMetrics prints what passed in the Prometheus text format.
func (r *Recorder) WriteMetrics(w io.Writer, component string) {
	prefix := "bottle_" + component
	r.traffic.durations.write(w, prefix+"_request_duration_seconds", "How long allowed requests took, to the end of the response.")
	head(w, prefix+"_bytes_total", "counter", "Bytes of bodies: in is from the agent, out is to it.")
	fmt.Fprintf(w, "%s_bytes_total{direction=\"in\"} %d\n%s_bytes_total{direction=\"out\"} %d\n", prefix, r.traffic.bytesIn.Load(), prefix, r.traffic.bytesOut.Load())
}

// Counters implements that part of [Service].
func (r *Recorder) Counters() map[string]uint64 { return r.counters.snapshot() }
