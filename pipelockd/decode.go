package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/bottlesuite/bottle/internal/secretscan"
)

// Bounds of decompression: what may come out at all, and how many times what
// went in once it is more than a little.
const (
	maxDecoded = 1 << 30
	freeOutput = 16 << 20
	maxRatio   = 200
)

var errTooMuch = errors.New("it decompresses to too much")

var errUnscannable = errors.New("the body cannot be read")

// maxWindow is what a zstd stream may keep in memory; RFC 9659 asks senders for no
// more.
const maxWindow = 8 << 20

// contentCoding returns "", "gzip", "deflate", "zstd" or "br"; ok is false for what cannot be
// looked into.
func contentCoding(h http.Header) (coding string, ok bool) {
	switch c := strings.ToLower(strings.TrimSpace(strings.Join(h["Content-Encoding"], ","))); c {
	case "", "identity":
		return "", true
	case "gzip", "x-gzip":
		return "gzip", true
	case "deflate", "zstd", "br":
		return c, true
	default:
		return "", false
	}
}

// flush is how much a decompressor puts out at a time, at most.
const flush = 32 << 10

// decodedReader passes compressed bytes on as they are, but only after what they
// decompress to was judged. Memory is bounded: it holds the raw bytes of two
// flushes of the decompressor and of what the window holds.
//
// A decompressor has read more than it has put out. Its output at one flush is
// certain to be complete only for the input that was consumed by the flush
// before, so raw bytes are released one flush late.
type decodedReader struct {
	src    *tap
	coding string
	lag    lag
	// lenient is for what nobody said is compressed: where it ends to be, rest
	// goes on with it as it stands.
	lenient bool
	rest    io.Reader
	x       *exchange
	decoder io.Reader
	plain   *secretscan.Window // what comes out
	raw     *secretscan.Window // what goes in: headers and stored blocks
	out     []byte             // room for one flush
	total   int64              // decoded so far
	clean   int64              // of it, judged
	marks   []mark
	// ready is how many raw bytes of src.held may go.
	ready int
	err   error
}

// lag is what a decompressor may have taken in beyond what it has put out.
type lag struct {
	decoded int64 // what it may hold back of its output
	raw     int   // what it may have read ahead
	atOnce  int   // what it is given at once; 0 for no bound
}

// lags: zstd puts out a block of up to 128 KiB in several steps; brotli reads as
// much as it gets before it looks at it.
var lags = map[string]lag{
	"zstd": {decoded: 128 << 10},
	"br":   {raw: 1024, atOnce: 512},
}

// mark says that the first raw bytes had been consumed when decoded bytes were
// out.
type mark struct{ decoded, raw int64 }

func (x *exchange) newDecodedReader(src io.Reader, coding string) *decodedReader {
	window := func() *secretscan.Window {
		return x.table.scanning.bodies.NewWindow().With(x.options(false, "body"))
	}
	l := lags[coding]
	return &decodedReader{
		src: &tap{r: bufio.NewReaderSize(src, flush), atOnce: l.atOnce}, coding: coding, lag: l, x: x,
		plain: window(), raw: window(), out: make([]byte, flush),
	}
}

func (d *decodedReader) Read(p []byte) (int, error) {
	for d.ready == 0 {
		if d.rest != nil {
			return d.rest.Read(p)
		}
		if d.err != nil {
			return 0, d.err
		}
		if d.err = d.step(); d.lenient && errors.Is(d.err, errUnscannable) && !errors.Is(d.err, errTooMuch) {
			d.err = d.goOn()
		}
	}
	n := copy(p, d.src.held[:d.ready])
	d.src.drop(n)
	d.ready -= n
	return n, nil
}

// step decodes and judges one flush, and releases what that clears.
func (d *decodedReader) step() error {
	if d.decoder == nil {
		if err := d.open(); err != nil {
			return unscannable(err)
		}
	}
	n, err := d.decoder.Read(d.out)
	if err != nil && err != io.EOF {
		return unscannable(err)
	}
	if err == io.EOF && !d.src.atEnd() {
		return unscannable(errors.New("something follows the compressed data"))
	}
	d.total += int64(n)
	if d.total > maxDecoded && !d.lenient || d.total > freeOutput && d.total/maxRatio > d.src.consumed {
		return unscannable(errTooMuch)
	}
	if leak := d.judge(d.out[:n], err == io.EOF); leak != nil {
		return leak
	}
	d.marks = append(d.marks, mark{d.total, d.src.consumed})
	d.release(err == io.EOF)
	return err
}

// goOn judges what has come out so far, then the rest of the body as it stands,
// from what was not released yet on.
func (d *decodedReader) goOn() error {
	if _, found := d.plain.Clean(true); found != nil {
		return &leak{found.Finding, "body"}
	}
	held := bytes.Clone(d.src.held)
	d.rest = d.x.table.scanning.bodies.NewReader(io.MultiReader(bytes.NewReader(held), d.src.r)).With(d.x.options(false, "body"))
	return nil
}

// markOf returns the coding with whose mark a body begins, "" for none.
func markOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b, 8}):
		return "gzip"
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	}
	return ""
}

func (d *decodedReader) open() (err error) {
	switch d.coding {
	case "gzip":
		d.decoder, err = gzip.NewReader(d.src)
	case "zstd":
		d.decoder, err = zstd.NewReader(d.src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	case "br":
		d.decoder = brotli.NewReader(d.src)
	default:
		d.decoder, err = zlib.NewReader(d.src)
	}
	return err
}

// judge looks at decoded bytes, and at the raw ones that they came from.
func (d *decodedReader) judge(decoded []byte, final bool) error {
	d.plain.Write(decoded)
	clean, found := d.plain.Clean(final)
	if found == nil {
		d.raw.Write(d.src.fresh())
		_, found = d.raw.Clean(final)
	}
	if found != nil {
		return &leak{found.Finding, "body"}
	}
	d.clean += int64(len(clean))
	return nil
}

// release finds the newest mark whose successor's output is judged.
func (d *decodedReader) release(final bool) {
	if final {
		d.ready = len(d.src.held)
		return
	}
	for len(d.marks) > 1 && d.clean >= max(d.marks[1].decoded, d.marks[0].decoded+d.lag.decoded) {
		d.ready = int(d.marks[0].raw - d.src.dropped)
		d.marks = d.marks[1:]
	}
	// What the raw window holds back stays as well.
	d.ready = max(0, min(d.ready, len(d.src.held)-max(d.raw.Held(), d.lag.raw)))
}

func unscannable(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errors.New("it is cut off")
	}
	return fmt.Errorf("%w: %w", errUnscannable, err)
}

// tap hands bytes to a decompressor one by one, so that it takes no more than it
// needs, and keeps them until they are released.
type tap struct {
	r        *bufio.Reader
	atOnce   int // bounds a Read, if not zero
	held     []byte
	seen     int // of held, already given out by fresh
	consumed int64
	dropped  int64
}

// ReadByte implements [io.ByteReader]; decompressors that find it read no
// further ahead.
func (t *tap) ReadByte() (byte, error) {
	c, err := t.r.ReadByte()
	if err == nil {
		t.held = append(t.held, c)
		t.consumed++
	}
	return c, err
}

func (t *tap) Read(p []byte) (int, error) {
	if t.atOnce > 0 && len(p) > t.atOnce {
		p = p[:t.atOnce]
	}
	n, err := t.r.Read(p)
	t.held = append(t.held, p[:n]...)
	t.consumed += int64(n)
	return n, err
}

func (t *tap) atEnd() bool {
	_, err := t.r.Peek(1)
	return err == io.EOF
}

func (t *tap) fresh() []byte {
	b := t.held[t.seen:]
	t.seen = len(t.held)
	return b
}

func (t *tap) drop(n int) {
	t.held = append(t.held[:0], t.held[n:]...)
	t.seen -= n
	t.dropped += int64(n)
}

var _ io.ByteReader = (*tap)(nil)
