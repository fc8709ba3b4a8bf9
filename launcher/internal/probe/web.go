//go:build linux

package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Bounds of a conversation.
const (
	maxAnswers = 4
	maxBody    = 4 << 10
	// settle is how long the probe waits after a conversation that ended without
	// a reason, so that the audit line of it comes before that of the next one.
	settle = 30 * time.Millisecond
	// lingering is how long net/http stays with a client whose header was too long.
	lingering = 700 * time.Millisecond
	// another is how long a further answer may take to begin.
	another = 300 * time.Millisecond
)

// converse says what a task says and reports every answer.
func converse(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	w := t.Web
	if w == nil {
		return fmt.Errorf("the task says nothing")
	}
	if len(w.Mark) > 0 {
		if err := mark(ctx, w.Dial, w.Mark); err != nil {
			return fmt.Errorf("%s does not answer: %s", w.Dial, word(err))
		}
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", w.Dial)
	if err != nil {
		return fmt.Errorf("%s does not answer: %s", w.Dial, word(err))
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	r.Web = talk(conn, w)
	switch last := r.Web[len(r.Web)-1]; {
	case last.Status == http.StatusRequestHeaderFieldsTooLarge:
		time.Sleep(lingering)
	case last.Reason == "":
		time.Sleep(settle)
	}
	return nil
}

// talk goes through a conversation up to its end.
func talk(conn net.Conn, w *wire.ProbeWeb) []wire.ProbeAnswer {
	if len(w.Connect) > 0 {
		a := connect(conn, w.Connect)
		if a.Status != http.StatusOK || !w.TLS && len(w.Send) == 0 {
			return []wire.ProbeAnswer{a}
		}
	}
	if w.TLS {
		raw := conn
		if w.Slow {
			raw = &slow{Conn: conn}
		}
		secured := tls.Client(raw, clientConfig(w))
		if err := secured.Handshake(); err != nil {
			return []wire.ProbeAnswer{{Stage: "tls", Error: word(err)}}
		}
		conn = secured
	}
	if len(w.Fields) > 0 {
		return []wire.ProbeAnswer{exchange2(conn, w.Fields)}
	}
	go func() { _, _ = conn.Write(w.Send) }() // an answer may come before all is sent
	return answers(conn)
}

// clientConfig trusts whom it meets: what the other end is, the audit says.
func clientConfig(w *wire.ProbeWeb) *tls.Config {
	c := &tls.Config{ServerName: w.Name, InsecureSkipVerify: true}
	if len(w.Fields) > 0 {
		c.NextProtos = []string{"h2"}
	}
	if w.Long {
		for i := range 200 { // a hello of several segments
			c.NextProtos = append(c.NextProtos, fmt.Sprintf("not-a-protocol-%03d", i))
		}
		c.NextProtos = append(c.NextProtos, "http/1.1")
	}
	return c
}

func answers(conn net.Conn) (all []wire.ProbeAnswer) {
	in := bufio.NewReader(conn)
	for len(all) < maxAnswers {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			if len(all) == 0 {
				all = append(all, wire.ProbeAnswer{Stage: "answer", Error: word(err)})
			}
			break
		}
		all = append(all, answered("answer", resp))
		_ = conn.SetDeadline(time.Now().Add(another))
	}
	return all
}

// answered reads a response to its end.
func answered(stage string, resp *http.Response) wire.ProbeAnswer {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	a := wire.ProbeAnswer{Stage: stage, Status: resp.StatusCode, Reason: resp.Header.Get(wire.DenyHeader)}
	var p wire.Problem
	if json.Unmarshal(body, &p) == nil {
		a.RequestID = p.RequestID
	}
	a.Body = string(body[:min(len(body), 200)])
	return a
}

// connect asks for a tunnel. The authority is sent as it is.
func connect(conn net.Conn, authority []byte) wire.ProbeAnswer {
	host := "Host: probe.example"
	if printable(authority) {
		host = "Host: " + string(authority)
	}
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\n%s\r\n\r\n", authority, host); err != nil {
		return wire.ProbeAnswer{Stage: "connect", Error: word(err)}
	}
	// One byte at a time: what follows the header belongs to the tunnel.
	resp, err := http.ReadResponse(bufio.NewReaderSize(bytewise{conn}, 1), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return wire.ProbeAnswer{Stage: "connect", Error: word(err)}
	}
	if resp.StatusCode == http.StatusOK { // a tunnel has no body, and no end
		return wire.ProbeAnswer{Stage: "connect", Status: resp.StatusCode}
	}
	return answered("connect", resp)
}

func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// mark sends a request over a connection of its own and waits for its answer.
func mark(ctx context.Context, server string, request []byte) error {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", server)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// bytewise reads single bytes.
type bytewise struct{ net.Conn }

// Read implements [io.Reader].
func (b bytewise) Read(p []byte) (int, error) { return b.Conn.Read(p[:min(1, len(p))]) }

// slow writes the first kilobytes in single bytes, each a segment of its own.
type slow struct {
	net.Conn
	written int
}

// Write implements [io.Writer].
func (s *slow) Write(p []byte) (n int, err error) {
	const slowly = 1 << 10
	for n < len(p) && s.written < slowly && err == nil {
		var m int
		m, err = s.Conn.Write(p[n : n+1])
		n, s.written = n+m, s.written+m
	}
	if err == nil && n < len(p) {
		var m int
		m, err = s.Conn.Write(p[n:])
		n += m
	}
	return n, err
}
