package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/test/upstream"
)

// TestEventsPassOneByOne: the upstream sends the next event only when the agent
// has acknowledged the one before, so an event that is held back ends the stream
// early.
func TestEventsPassOneByOne(t *testing.T) {
	w, b := inBottle(t)
	for _, protocol := range []string{"http1.1", "http2"} {
		t.Run(protocol, func(t *testing.T) {
			script := fmt.Sprintf(`curl -sSN --fail --%s %s | while read -r field value; do
				case $field in
				id:) curl -sS --fail -o /dev/null "%s&n=$value" ;;
				data:) echo "$value" ;;
				esac
			done`, protocol, "'"+w.url("api", "/v1/events?n=5&id="+protocol)+"'", w.url("api", "/v1/ack?id="+protocol))
			out := b.shell(t, script)
			if !strings.HasSuffix(out, "event 4\nall were acknowledged\n") {
				t.Errorf("the agent read:\n%s", out)
			}
		})
	}
}

func TestHTTP2IsSpokenToTheAgent(t *testing.T) {
	w, b := inBottle(t)
	before := w.upstream.Mark()
	if out := b.shell(t, "curl -sS --fail --http2 -o /dev/null -w '%{http_version}' "+w.url("api", "/v1/hello")); out != "2" {
		t.Errorf("the agent spoke HTTP/%s", out)
	}
	sawOne(t, w.upstream, before)
}

// TestLargeBodiesArriveWhole moves 20 MiB down and up again.
func TestLargeBodiesArriveWhole(t *testing.T) {
	w, b := inBottle(t)
	const size = 20 << 20
	hash := sha256.New()
	if _, err := io.Copy(hash, upstream.Content(size)); err != nil {
		t.Fatal(err)
	}
	want := hex.EncodeToString(hash.Sum(nil))
	before := w.upstream.Mark()
	out := b.shell(t, fmt.Sprintf(`set -e; curl -sS --fail -o /tmp/large %s; sha256sum < /tmp/large; curl -sS --fail -T /tmp/large %s; rm /tmp/large`,
		w.url("api", fmt.Sprintf("/v1/download?bytes=%d", size)), w.url("api", "/v1/upload")))
	if strings.Count(out, want) != 2 {
		t.Errorf("the agent read %s, want twice %s", out, want)
	}
	seen := seenSince(t, w.upstream, before)
	if len(seen) != 2 || seen[1].BodyBytes != size || seen[1].BodySHA256 != want || !seen[1].Complete {
		t.Errorf("the upstream saw %d requests, the last with %d bytes", len(seen), seen[len(seen)-1].BodyBytes)
	}
}

func TestWebSocketPassesWhereItIsAllowed(t *testing.T) {
	w, b := inBottle(t)
	a := w.request("ws", "GET", "/v1/ws")
	a.Send = fmt.Appendf(nil, "GET /v1/ws HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", w.site("ws"), strings.Join(upgrade, "\r\n"))
	a.Then = []byte("\x81\x85\x01\x02\x03\x04hello") // a text frame, whose mask turns its payload into something else
	out := b.try(t, a)[0]
	if len(out.Answers) != 1 || out.Answers[0].Status != http.StatusSwitchingProtocols {
		t.Fatalf("%+v", out)
	}
	unmasked := []byte("\x81\x05hello")
	for i := range unmasked[2:] {
		unmasked[2+i] ^= byte(1 + i%4)
	}
	if string(out.Echo) != string(unmasked) {
		t.Errorf("the echo is %q, want %q", out.Echo, unmasked)
	}
}
