package scrub

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the memory of a zstd stream; RFC 9659 asks servers to stay
// within 8 MiB.
const maxWindow = 8 << 20

// ErrEncoding says that a body is encoded in a way that cannot be read.
type ErrEncoding struct{ Encoding string }

func (e *ErrEncoding) Error() string {
	return fmt.Sprintf("the content encoding %q cannot be read", e.Encoding)
}

// Decode undoes a Content-Encoding: any sequence of gzip, deflate, br and zstd.
// The decoder starts at the first Read, because a stream's first byte may be
// long in coming, and gives out what the encoder flushed.
func Decode(contentEncoding string, body io.Reader) (io.Reader, error) {
	names := strings.Split(contentEncoding, ",")
	if len(names) > 4 {
		return nil, &ErrEncoding{contentEncoding}
	}
	for i := len(names) - 1; i >= 0; i-- { // the last applied stands last
		name := strings.ToLower(strings.TrimSpace(names[i]))
		open, ok := decoders[name]
		switch {
		case name == "" || name == "identity":
		case !ok:
			return nil, &ErrEncoding{name}
		default:
			body = &decoder{src: bufio.NewReader(body), open: open}
		}
	}
	return body, nil
}

var decoders = map[string]func(*bufio.Reader) (io.Reader, error){
	"gzip":    func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"x-gzip":  func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"deflate": openDeflate,
	"br":      func(r *bufio.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	"zstd": func(r *bufio.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	},
}

// openDeflate reads zlib, as RFC 9110 defines deflate, or the bare deflate that
// some servers send by that name.
func openDeflate(r *bufio.Reader) (io.Reader, error) {
	head, err := r.Peek(2)
	if err != nil {
		return nil, err
	}
	if head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}

// decoder opens its stream at the first Read.
type decoder struct {
	src  *bufio.Reader
	open func(*bufio.Reader) (io.Reader, error)
	r    io.Reader
	err  error
}

// Read implements [io.Reader].
func (d *decoder) Read(p []byte) (int, error) {
	if d.r == nil && d.err == nil {
		if _, err := d.src.Peek(1); err != nil {
			d.err = err // an empty body is empty in every encoding
		} else {
			d.r, d.err = d.open(d.src)
		}
	}
	if d.err != nil {
		return 0, d.err
	}
	return d.r.Read(p)
}
