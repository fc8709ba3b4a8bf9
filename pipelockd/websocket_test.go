package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"

	"github.com/bottlesuite/bottle/internal/secretscan"
)

// echo is a WebSocket server that sends every frame back and keeps what came.
func echo(got chan<- []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			http.Error(w, "no upgrade", http.StatusBadRequest)
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nX-Extensions: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]), r.Header.Get("Sec-WebSocket-Extensions"))
		_ = rw.Flush()
		var all []byte
		for {
			op, payload, err := readFrame(rw.Reader)
			all = append(all, payload...)
			if err != nil {
				break
			}
			_, _ = conn.Write(frame(op, payload, false))
		}
		got <- all
	}
}

// frame builds one frame; op may have the FIN bit cleared by 0x100.
func frame(op int, payload []byte, mask bool) []byte {
	first := byte(op) | 0x80
	if op&0x100 != 0 {
		first = byte(op)
	}
	b := []byte{first, 0}
	switch n := len(payload); {
	case n < 126:
		b[1] = byte(n)
	case n < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	if !mask {
		return append(b, payload...)
	}
	b[1] |= 0x80
	key := [4]byte{0x11, 0xa2, 0x33, 0xc4}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i&3])
	}
	return b
}

// readFrame reads a frame, unmasked, as far as it came.
func readFrame(r io.Reader) (op int, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		ext := make([]byte, 2)
		_, err = io.ReadFull(r, ext)
		n = uint64(binary.BigEndian.Uint16(ext))
	case 127:
		ext := make([]byte, 8)
		_, err = io.ReadFull(r, ext)
		n = binary.BigEndian.Uint64(ext)
	}
	var key [4]byte
	if err == nil && head[1]&0x80 != 0 {
		_, err = io.ReadFull(r, key[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload, err = io.ReadAll(io.LimitReader(r, int64(min(n, 1<<40))))
	m := len(payload)
	if err == nil && uint64(m) < n {
		err = io.ErrUnexpectedEOF
	}
	for i := range payload[:m] {
		payload[i] ^= key[i&3]
	}
	op = int(head[0] & 0x0f)
	if head[0]&0x80 == 0 {
		op |= 0x100
	}
	return op, payload[:m], err
}

// upgrade opens a WebSocket through the door.
func (d *door) upgrade(t *testing.T, host string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	authority := host + ":" + d.upstream.Port()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", authority, authority)
	if _, err := http.ReadResponse(bufio.NewReaderSize(oneByte{conn}, 16), nil); err != nil {
		t.Fatal(err)
	}
	tc := tls.Client(conn, &tls.Config{RootCAs: d.ca.Pool(), ServerName: host})
	fmt.Fprintf(tc, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", authority)
	br := bufio.NewReader(tc)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tc, br, resp
}

func TestWebSocketEcho(t *testing.T) {
	got := make(chan []byte, 1)
	d := open(t, echo(got), nil)
	conn, br, resp := d.upgrade(t, "ws.example")
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("X-Extensions") != "" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	for _, f := range []struct {
		op      int
		payload string
	}{
		{1, "hello"}, {2, strings.Repeat("q", 70000)}, {0x101, "one "}, {9, "ping"}, {0x100, "two "}, {0, "three"}, {1, ""}, {2, strings.Repeat("z", 300)},
	} {
		_, _ = conn.Write(frame(f.op, []byte(f.payload), true))
		op, payload, err := readFrame(br)
		if err != nil || op != f.op || string(payload) != f.payload {
			t.Fatalf("frame %#x of %d bytes came back as %#x, %d bytes, %v", f.op, len(f.payload), op, len(payload), err)
		}
	}
	if l := d.waitLines(t, 1)[0]; l.Decision != policy.Allow || l.Status != 101 {
		t.Errorf("line %+v", l)
	}
	_ = conn.Close()
	<-got
}

func TestWebSocketSecrets(t *testing.T) {
	half := len(secret) / 2
	tests := map[string][][]byte{
		"text":          {frame(1, []byte("x "+secret), true)},
		"binary":        {frame(2, append(make([]byte, 70000), secret...), true)},
		"in fragments":  {frame(0x101, []byte(secret[:half]), true), frame(0, []byte(secret[half:]), true)},
		"around a ping": {frame(0x101, []byte(secret[:half]), true), frame(9, nil, true), frame(0, []byte(secret[half:]), true)},
		"in a ping":     {frame(9, []byte(secret), true)},
		"in a close":    {frame(8, append([]byte{3, 232}, secret...), true)},
	}
	for name, frames := range tests {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 1)
			d := open(t, echo(got), nil)
			conn, br, resp := d.upgrade(t, "ws.example")
			if resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(resp.Status)
			}
			_, _ = conn.Write(bytes.Join(frames, nil))
			_, _ = io.Copy(io.Discard, br) // until the door closes
			if arrived := <-got; bytes.Contains(arrived, []byte(secret)) {
				t.Errorf("the upstream saw %q", arrived)
			}
			lines := d.waitLines(t, 2) // the upgrade, and its end
			if l := lines[1]; l.Reason != policy.ReasonSecretFound || !strings.Contains(l.Detail, "websocket") {
				t.Errorf("line %+v", l)
			}
		})
	}
}

func TestWebSocketFramesThatBreakTheProtocol(t *testing.T) {
	unmasked := frame(1, []byte(secret), false)
	rsv := frame(1, []byte("compressed"), true)
	rsv[0] |= 0x40
	for name, raw := range map[string][]byte{
		"unmasked": unmasked, "extension bit": rsv,
		"lonely continuation": frame(0, []byte("x"), true),
		"message in message":  append(frame(0x101, []byte("x"), true), frame(1, []byte("y"), true)...),
		"unknown opcode":      frame(3, []byte("x"), true),
		"long control frame":  frame(9, make([]byte, 126), true),
		"fragmented control":  frame(0x109, []byte("x"), true),
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []byte, 1)
			d := open(t, echo(got), nil)
			conn, br, _ := d.upgrade(t, "ws.example")
			_, _ = conn.Write(raw)
			_, _ = io.Copy(io.Discard, br)
			if arrived := <-got; len(arrived) > 1 {
				t.Errorf("the upstream saw %q", arrived)
			}
			if lines := d.waitLines(t, 2); lines[1].Reason != policy.ReasonUnscannable {
				t.Errorf("line %+v", lines[1])
			}
		})
	}
}

func TestWebSocketOnlyWhereAllowed(t *testing.T) {
	d := open(t, echo(make(chan []byte, 1)), nil)
	_, _, resp := d.upgrade(t, "api.example")
	if resp.Header.Get("X-Bottle-Deny") != string(policy.ReasonUpgrade) {
		t.Errorf("%s", resp.Status)
	}
	if seen := d.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}

// Whatever bytes a client sends after its upgrade, what comes out of the scan is
// a prefix of them, and holds no whole secret.
func FuzzFrames(f *testing.F) {
	f.Add(frame(1, []byte("hello "+secret), true))
	f.Add(append(frame(0x101, []byte("he"), true), frame(0, []byte("llo"), true)...))
	f.Add(append(frame(9, []byte("p"), true), frame(8, nil, true)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := newFrameConn(nil, bufio.NewReader(bytes.NewReader(raw)), bare())
		out, _ := io.ReadAll(c)
		if !bytes.HasPrefix(raw, out) {
			t.Fatal("the scan changed what it passed on")
		}
		r := bytes.NewReader(out)
		var message []byte
		for {
			op, payload, err := readFrame(r)
			if op&0x0f == 0 {
				payload = append(message, payload...)
			}
			if _, ok := secretscan.Default.Find(payload); ok && err == nil {
				t.Fatal("a frame with a secret went through")
			}
			if err != nil {
				return
			}
			if op&0x0f < 8 {
				message = payload
			}
		}
	})
}
