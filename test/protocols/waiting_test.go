package protocols

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// events sends each event only when the client has told of the one before: a
// proxy that holds one back stops the stream.
func (s *started) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 5 {
		fmt.Fprintf(w, "data: %d\n\n", i)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case n := <-s.acked:
			if n != i {
				return
			}
		case <-r.Context().Done():
			return
		case <-time.After(10 * time.Second):
			return
		}
	}
	fmt.Fprint(w, "data: end\n\n")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := start(t, wire.Route{})
	for name, http2 := range protocols {
		t.Run(name, func(t *testing.T) {
			resp, err := s.Client(t, http2).Get(s.URL("/events"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var seen []string
			for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
				data, ok := strings.CutPrefix(lines.Text(), "data: ")
				if !ok {
					continue
				}
				seen = append(seen, data)
				if n, err := strconv.Atoi(data); err == nil {
					s.acked <- n
				}
			}
			if got := strings.Join(seen, " "); got != "0 1 2 3 4 end" {
				t.Errorf("the agent read %q", got)
			}
		})
	}
}

// TestLongPolling waits longer for an answer than a client does for a header, a
// handshake or a dial anywhere on the way.
func TestLongPolling(t *testing.T) {
	t.Parallel()
	s := start(t, wire.Route{})
	var polls sync.WaitGroup // not parallel subtests: they would wait for each other's turn
	for name, http2 := range protocols {
		polls.Go(func() {
			resp, err := s.Client(t, http2).Get(s.URL("/slow?for=31s"))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "at last" {
				t.Errorf("%s: %s %q, %v", name, resp.Status, body, err)
			}
		})
	}
	polls.Wait()
}
