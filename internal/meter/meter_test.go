package meter

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestResponse(t *testing.T) {
	var interim []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &Body{ReadCloser: r.Body}
		m := &Response{ResponseWriter: w, Interim: func(h http.Header) { interim = append(interim, h.Get("Link")) }}
		_, _ = io.Copy(io.Discard, body)
		m.Header().Set("Link", "early")
		m.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(m, "four")
		if err := http.NewResponseController(m).Flush(); err != nil {
			t.Error("the writer lost the ability to flush:", err)
		}
		if m.Status != http.StatusOK || m.Bytes != 4 || body.Bytes() != 5 {
			t.Errorf("status %d, %d bytes out, %d in", m.Status, m.Bytes, body.Bytes())
		}
	}))
	defer s.Close()
	resp, err := http.Post(s.URL, "", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(interim) != 1 || interim[0] != "early" {
		t.Errorf("interim headers: %v", interim)
	}
}

func TestBuffersAreWholeAgain(t *testing.T) {
	var b Buffers
	for range 3 {
		p := b.Get()
		if len(p) != bufferSize {
			t.Fatal(len(p))
		}
		b.Put(p)
	}
}
