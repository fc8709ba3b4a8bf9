package daemon

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/audit"
	"github.com/bottlesuite/bottle/internal/policy"
)

func TestMetrics(t *testing.T) {
	trail, err := audit.Open(filepath.Join(t.TempDir(), "a.jsonl"), "egressd", "b")
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	r := NewRecorder(Env{Audit: trail})
	r.Count("tunnels")
	for _, d := range []time.Duration{300 * time.Microsecond, 5 * time.Millisecond, 2 * time.Hour} {
		r.Record(audit.Entry{Event: "request", Decision: policy.Allow, Duration: d, BytesIn: 10, BytesOut: 100})
	}
	r.Record(audit.Entry{Event: "request", Decision: policy.Deny, Reason: policy.ReasonHostNotAllowed, Duration: time.Second})
	var out bytes.Buffer
	writeMetrics(&out, "egressd", r.Counters(), &state{sha256: "abc", loadedAt: time.Unix(5, 0), lastError: "bad file"})
	r.WriteMetrics(&out, "egressd")
	for _, want := range []string{
		`bottle_egressd_decisions_total{decision="allow",reason=""} 3`,
		`bottle_egressd_decisions_total{decision="deny",reason="host_not_allowed"} 1`,
		`bottle_egressd_events_total{event="tunnels"} 1`,
		`bottle_egressd_config_loaded_timestamp_seconds{sha256="abc"} 5`,
		`bottle_egressd_config_refused 1`,
		`bottle_egressd_request_duration_seconds_bucket{le="0.001"} 1`,
		`bottle_egressd_request_duration_seconds_bucket{le="0.005"} 2`,
		`bottle_egressd_request_duration_seconds_bucket{le="+Inf"} 3`,
		`bottle_egressd_request_duration_seconds_count 3`,
		`bottle_egressd_bytes_total{direction="in"} 30`,
		`bottle_egressd_bytes_total{direction="out"} 300`,
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("%s is not in\n%s", want, out.String())
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z_0-9]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+)$`)
	for l := range strings.Lines(out.String()) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("not a line of the format: %s", l)
		}
	}
}
