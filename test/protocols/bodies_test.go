package protocols

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/test/upstream"
)

const (
	huge = 1 << 30
	// mostMiB is what a proxy may take for any number of bytes: a window and
	// the buffers of its connections, with the collector's slack.
	mostMiB = 80
)

// TestHugeBodies moves a gibibyte each way, the download by HTTP/2 and the
// upload by HTTP/1.1, and looks at what the proxies took for it. Everything is
// read on the way: what goes up for secrets, what comes down for the credential.
func TestHugeBodies(t *testing.T) {
	t.Parallel()
	s := start(t, wire.Route{})
	hash := sha256.New()
	resp, err := s.Client(t, true).Get(s.URL(fmt.Sprintf("/download?bytes=%d", huge)))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(hash, resp.Body)
	if err != nil || n != huge || resp.ProtoMajor != 2 {
		t.Errorf("down: %s, %d bytes, %v", resp.Proto, n, err)
	}
	_ = resp.Body.Close()

	r, err := http.NewRequest(http.MethodPut, s.URL("/upload"), upstream.Content(huge))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = huge
	if resp, err = s.Client(t, false).Do(r); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	// Both were the same bytes at their source.
	if down, up := fmt.Sprintf("%x", hash.Sum(nil)), s.sum.Load(); resp.StatusCode != http.StatusOK || s.came.Load() != huge || up != down {
		t.Errorf("up: %s, %d bytes of the hash %s; down came %s", resp.Status, s.came.Load(), up, down)
	}
	for name, peak := range map[string]float64{"egressd": s.Egressd.PeakMiB(t), "pipelockd": s.Pipelockd.PeakMiB(t)} {
		t.Logf("%s had at most %.0f MiB in use", name, peak)
		if peak > mostMiB {
			t.Errorf("%s took %.0f MiB for bodies of a gibibyte, more than %d", name, peak, mostMiB)
		}
	}
}
