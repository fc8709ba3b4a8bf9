package main

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
)

// TestUnreadRequestsAreRecorded says to the port what net/http refuses by itself, before
// any handler of ours: it is in the audit all the same.
func TestUnreadRequestsAreRecorded(t *testing.T) {
	d := open(t, nil, nil)
	for i, said := range []string{
		"CONNECT api.example\x00.x.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x@api.example:443 HTTP/1.1\r\nHost: x@api.example:443\r\n\r\n",
		"GET http://api.example/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
	} {
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, said)
		_, _ = io.ReadAll(c)
		_ = c.Close()
		lines := d.waitLines(t, i+1)
		if l := lines[i]; l.Decision != policy.Deny || l.Reason != policy.ReasonBadRequest || l.RequestID == "" {
			t.Errorf("%q: %+v", said, l)
		}
	}
	if seen := d.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}
