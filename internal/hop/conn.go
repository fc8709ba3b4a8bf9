package hop

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"
)

// conn is a connection to a server, used by one exchange at a time.
type conn struct {
	address string
	raw     net.Conn
	tls     *tls.Conn
	state   *tls.ConnectionState
	in      *bufio.Reader
	// left is how much may still be read, when limited.
	limited bool
	left    int64
	idle    time.Time // since when it has been in the pool
}

var errHeader = errors.New("the server's response header is longer than allowed")

// limit bounds what is read from now on; 0 lifts the bound.
func (c *conn) limit(n int64) { c.limited, c.left = n > 0, n }

// Read implements [io.Reader] under the bufio.Reader.
func (c *conn) Read(p []byte) (int, error) {
	if c.limited {
		if c.left <= 0 {
			return 0, errHeader
		}
		p = p[:min(int64(len(p)), c.left)]
	}
	n, err := c.tls.Read(p)
	c.left -= int64(n)
	return n, err
}

// abort closes the connection under whoever uses it. TLS's farewell is left
// out: it could block, and no response of ours ends by it.
func (c *conn) abort() { _ = c.raw.Close() }

// past is a moment that makes a read return what is at hand.
var past = time.Unix(1, 0)

// quiet reports whether nothing stands behind the response that was read: not
// in the buffer, and not in what TLS has taken from the socket already. With a
// deadline in the past TLS does not turn to the socket.
func (c *conn) quiet() bool {
	if c.in.Buffered() > 0 || c.raw.SetReadDeadline(past) != nil {
		return false
	}
	var one [1]byte
	n, err := c.tls.Read(one[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.raw.SetReadDeadline(time.Time{}) == nil
}
