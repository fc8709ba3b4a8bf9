//go:build linux

package probe

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/bottlesuite/bottle/internal/wire"
)

// Frames of HTTP/2 (RFC 9113, section 6) that the probe sends or tells apart.
const (
	frameHeaders  = 0x1
	frameReset    = 0x3
	frameSettings = 0x4
	frameGoAway   = 0x7
)

// exchange2 sends one request of HTTP/2 whose fields nobody has checked, and
// tells how the stream ended. Its own frames are written by hand, because a
// client library would mend them.
func exchange2(conn net.Conn, fields []string) wire.ProbeAnswer {
	a := wire.ProbeAnswer{Stage: "answer"}
	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = appendFrame(out, frameSettings, 0, 0, nil)
	out = appendFrame(out, frameHeaders, 0x5, 1, literals(fields)) // END_STREAM and END_HEADERS
	go func() { _, _ = conn.Write(out) }()
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			a.Error = "the connection ended: " + word(err)
			return a
		}
		size := binary.BigEndian.Uint32(append([]byte{0}, head[:3]...))
		body := make([]byte, min(size, 1<<20))
		if _, err := io.ReadFull(conn, body); err != nil {
			a.Error = "the connection ended: " + word(err)
			return a
		}
		switch head[3] {
		case frameHeaders:
			return answered2(a, body)
		case frameReset:
			a.Error = "the stream was reset"
			return a
		case frameGoAway:
			a.Error = "the connection was ended by the proxy"
			return a
		}
	}
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// literals encodes fields without Huffman codes and without the tables (RFC
// 7541, section 6.2.2).
func literals(fields []string) (b []byte) {
	for _, f := range fields {
		name, value := cutField(f)
		b = append(b, 0)
		b = appendString(b, name)
		b = appendString(b, value)
	}
	return b
}

// cutField splits "name: value", where the name may begin with a colon.
func cutField(f string) (name, value string) {
	for i := 1; i+1 < len(f); i++ {
		if f[i] == ':' && f[i+1] == ' ' {
			return f[:i], f[i+2:]
		}
	}
	return f, ""
}

func appendString(b []byte, s string) []byte {
	const most = 0x7f // of the length's prefix of seven bits
	if len(s) < most {
		return append(append(b, byte(len(s))), s...)
	}
	b = append(b, most)
	rest := len(s) - most
	for rest >= 0x80 {
		b, rest = append(b, byte(rest)|0x80), rest>>7
	}
	return append(append(b, byte(rest)), s...)
}

// answered2 reads status and reason from the fields of an answer.
func answered2(a wire.ProbeAnswer, block []byte) wire.ProbeAnswer {
	fields, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
	if err != nil {
		a.Error = "the answer cannot be read"
	}
	for _, f := range fields {
		switch f.Name {
		case ":status":
			a.Status, _ = strconv.Atoi(f.Value)
		case strings.ToLower(wire.DenyHeader):
			a.Reason = f.Value
		}
	}
	return a
}
