package protocols

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// call answers each message of a gRPC stream as it comes, and says in the
// trailers how it went.
func call(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
		w.Header().Set("Grpc-Status", "13") // a response of a header alone
		w.Header().Set("Grpc-Message", "no trailers were asked for")
		return
	}
	for n := 0; ; n++ {
		m, err := readMessage(r.Body)
		if err != nil {
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
			w.Header().Set(http.TrailerPrefix+"Grpc-Message", fmt.Sprintf("%d messages", n))
			return
		}
		_, _ = w.Write(message("you said " + m)) // a client that is gone needs no answer
		_ = http.NewResponseController(w).Flush()
	}
}

// message frames as gRPC does: not compressed, the length, the bytes.
func message(s string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(s))), s...)
}

func readMessage(r io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, body)
	return string(body), err
}

// TestCalls holds a conversation in one call: the next message is sent only when
// the answer to the one before has come, and the status is in the trailers.
func TestCalls(t *testing.T) {
	t.Parallel()
	s := start(t, wire.Route{})
	body, say := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL("/call"), body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	go func() { _, _ = say.Write(message("one")) }() // the answer shows whether it came
	resp, err := s.Client(t, true).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for i, word := range []string{"one", "two", "three"} {
		if i > 0 {
			if _, err := say.Write(message(word)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := readMessage(resp.Body); err != nil || got != "you said "+word {
			t.Fatalf("%s %v: %q, %v", resp.Status, resp.Header, got, err)
		}
	}
	_ = say.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
	if status, text := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message"); status != "0" || text != "3 messages" {
		t.Errorf("the trailers say %q, %q", status, text)
	}
}

// TestCallEndedByTheServer: what ends a call is the server's status, also while
// the client says nothing more and keeps its half open, as a watch does.
func TestCallEndedByTheServer(t *testing.T) {
	t.Parallel()
	s := start(t, wire.Route{})
	body, say := io.Pipe()
	defer say.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL("/refuse"), body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	resp, err := s.Client(t, true).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 || resp.Trailer.Get("Grpc-Status") != "16" {
		t.Errorf("%s %q, %v, trailers %v", resp.Status, rest, err, resp.Trailer)
	}
}
