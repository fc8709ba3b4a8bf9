package gateway

import (
	"errors"
	"net"
	"sync"
)

// magic is what vfkit sends before its first frame.
const magic = "VFKT"

// unixgram is the datagram socket of one vfkit, which is known by the address of
// its first datagram. Others are not listened to.
type unixgram struct {
	*net.UnixConn
	mu    sync.Mutex
	peer  *net.UnixAddr
	spare []byte // the first datagram, when it was a frame
}

// acceptUnixgram waits for the first datagram.
func acceptUnixgram(c *net.UnixConn) (*unixgram, error) {
	buf := make([]byte, 64<<10)
	n, from, err := c.ReadFromUnix(buf)
	if err != nil {
		return nil, err
	}
	if from == nil || from.Name == "" {
		return nil, errors.New("a datagram came from a socket without a name, which cannot be answered")
	}
	u := &unixgram{UnixConn: c, peer: from}
	if string(buf[:n]) != magic {
		u.spare = buf[:n]
	}
	_ = c.SetWriteBuffer(1 << 20)
	_ = c.SetReadBuffer(4 << 20)
	return u, nil
}

// Read implements [io.Reader].
func (u *unixgram) Read(p []byte) (int, error) {
	u.mu.Lock()
	if u.spare != nil {
		n := copy(p, u.spare)
		u.spare = nil
		u.mu.Unlock()
		return n, nil
	}
	u.mu.Unlock()
	for {
		n, from, err := u.ReadFromUnix(p)
		if err != nil || from != nil && from.Name == u.peer.Name {
			return n, err
		}
	}
}

// Write implements [io.Writer].
func (u *unixgram) Write(p []byte) (int, error) { return u.WriteToUnix(p, u.peer) }
