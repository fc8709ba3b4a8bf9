package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/secretscan"
)

// framed is a message of gRPC.
func framed(flag byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(text))), text...)
}

func gzipped(t testing.TB, text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readCall(coding string, body []byte) ([]byte, error) {
	room := &share{of: newBudget(budgetSize, time.Second), ctx: context.Background()}
	defer room.release()
	return io.ReadAll(bare().newCallReader(bytes.NewReader(body), coding, room))
}

func TestCallsAreJudgedByMessage(t *testing.T) {
	clean := framed(0, "a message that ends like a token: ghp_")
	for name, c := range map[string]struct {
		coding string
		body   []byte
		want   error // nil, or what it is like
	}{
		"nothing":             {"", nil, nil},
		"messages":            {"", append(clean, clean...), nil},
		"an empty message":    {"", append(framed(0, ""), clean...), nil},
		"a large one":         {"", framed(0, strings.Repeat("x y ", 1<<18)), nil},
		"compressed":          {"gzip", framed(1, gzipped(t, "hello")), nil},
		"a secret":            {"", append(clean, framed(0, "key "+secret+" end")...), &leak{}},
		"a secret at the end": {"", framed(0, secret), &leak{}},
		"a compressed secret": {"gzip", framed(1, gzipped(t, secret)), &leak{}},
		"unknown compression": {"snappy", framed(1, "hello"), errUnscannable},
		"too much compressed": {"gzip", framed(1, strings.Repeat("x", maxPacked+1)), errUnscannable},
		"an unknown flag":     {"", framed(2, "hello"), errUnscannable},
		"a header cut off":    {"", append(clean, 0, 0), io.ErrUnexpectedEOF},
		"a message cut off":   {"", clean[:len(clean)-1], io.ErrUnexpectedEOF},
		"a packed cut off":    {"gzip", framed(1, gzipped(t, "hello"))[:9], io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := readCall(c.coding, c.body)
			var l *leak
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) && !(errors.As(err, &l) && errors.As(c.want, new(*leak))) {
				t.Fatalf("got %v", err)
			}
			if !bytes.HasPrefix(c.body, out) || err == nil && len(out) != len(c.body) {
				t.Errorf("%d bytes became %d", len(c.body), len(out))
			}
			if bytes.Contains(out, []byte(secret)) {
				t.Error("the secret went")
			}
		})
	}
}

// A message of a conversation goes on while its body is open, and one with a
// secret ends the call with nothing of it at the upstream.
func TestConversation(t *testing.T) {
	var saw atomic.Value
	d := open(t, func(w http.ResponseWriter, r *http.Request) {
		head := make([]byte, 8)
		for {
			n, err := io.ReadFull(r.Body, head)
			if before, _ := saw.Load().(string); n > 0 {
				saw.Store(before + string(head[:n]))
			}
			if err != nil {
				return
			}
			_, _ = w.Write(head) // the client is there: it reads
			w.(http.Flusher).Flush()
		}
	}, nil)
	body, say := io.Pipe()
	r := request(t, "POST", d.url("/call"), body)
	r.Header.Set("Content-Type", "application/grpc")
	go func() { _, _ = say.Write(framed(0, "one")) }() // the answer shows whether it came
	resp, err := d.client(t, true).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := make([]byte, 8)
	if _, err := io.ReadFull(resp.Body, answer); err != nil || !bytes.Equal(answer, framed(0, "one")) {
		t.Fatalf("%q, %v", answer, err)
	}
	_, _ = say.Write(framed(0, secret)) // the proxy may have hung up already
	if lines := d.waitLines(t, 1); lines[len(lines)-1].Reason != policy.ReasonSecretFound {
		t.Errorf("the audit says %+v", lines)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the call ended as if nothing had happened")
	}
	_ = say.Close()
	if s, _ := saw.Load().(string); strings.Contains(s, secret) {
		t.Errorf("the upstream saw %q", s)
	}
}

// Whatever a client sends, what goes on is the beginning of it and holds no
// message with a secret.
func FuzzCallReader(f *testing.F) {
	f.Add("gzip", append(framed(0, "hello"), framed(1, "x")...))
	f.Add("", framed(0, secret))
	f.Fuzz(func(t *testing.T, coding string, body []byte) {
		out, err := readCall(coding, body)
		if !bytes.HasPrefix(body, out) || err == nil && len(out) != len(body) {
			t.Errorf("%q became %q, %v", body, out, err)
		}
		for rest := out; len(rest) >= 5 && rest[0] == 0; {
			n := int(binary.BigEndian.Uint32(rest[1:]))
			if len(rest) < 5+n {
				break
			}
			if _, found := secretscan.Default.Find(rest[5 : 5+n]); found {
				t.Errorf("a secret went: %q", rest[5:5+n])
			}
			rest = rest[5+n:]
		}
	})
}
