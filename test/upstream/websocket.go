package upstream

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// websocketGUID is the constant of RFC 6455, section 1.3.
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// echoFrames is a WebSocket server (RFC 6455) that sends each short frame back.
func echoFrames(w http.ResponseWriter, r *http.Request) {
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "an upgrade needs HTTP/1.1", http.StatusBadRequest)
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + websocketGUID))
	fmt.Fprintf(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	for stream.Flush() == nil {
		if err := echoFrame(stream); err != nil {
			return
		}
	}
}

var errFrame = errors.New("not a masked frame of less than 64 KiB")

// echoFrame reads one masked frame and writes it back without its mask.
func echoFrame(s *bufio.ReadWriter) error {
	var head [2]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return err
	}
	n := uint16(head[1] & 0x7f)
	if head[1]&0x80 == 0 || n == 127 {
		return errFrame
	}
	length := head[1:]
	if n == 126 {
		var extended [2]byte
		if _, err := io.ReadFull(s, extended[:]); err != nil {
			return err
		}
		n, length = binary.BigEndian.Uint16(extended[:]), append([]byte{126}, extended[:]...)
	}
	payload := make([]byte, 4+int(n))
	if _, err := io.ReadFull(s, payload); err != nil {
		return err
	}
	mask, payload := payload[:4], payload[4:]
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	length[0] &= 0x7f
	_, err := s.Write(append(append([]byte{head[0]}, length...), payload...))
	return err
}
