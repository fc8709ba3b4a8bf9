package secretscan

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Bounds of decompression: how much may come out of a stream at all, how many
// times what went in once it is more than a little, and what it takes to look
// whether something is compressed, in bytes of work.
const (
	maxUnpacked  = 256 << 20
	freeUnpacked = 8 << 20
	maxRatio     = 100
	openWork     = 512
	// unpackedWork is the work for each byte that is put out, which has encodings
	// of its own.
	unpackedWork = 5
	// repeated is the part that counts of what is unpacked once more.
	repeated = 16
	// maxZstdWindow is what RFC 9659 asks of senders.
	maxZstdWindow = 8 << 20
	// maxBare bounds what is tried as a compressed stream that has no mark.
	maxBare = 64 << 10
)

// inflater has the decompressors of one depth, made on first use.
type inflater struct {
	src  bytes.Reader
	gzip *gzip.Reader
	zlib io.ReadCloser
	raw  io.ReadCloser
	zstd *zstd.Decoder
	br   *brotli.Reader
}

// packed decompresses what begins with the mark of gzip, zlib or zstd, wherever
// that stands, and archives of such. What has no mark (bare deflate, brotli) is
// tried where a span begins that another decoder took off.
func (j *job) packed(v *view) (decided int) {
	decided = len(v.b)
	for _, k := range packings {
		for i := max(0, v.from-overlap); i < len(v.b); {
			at := k.find(v.b[i:])
			if at < 0 {
				break
			}
			i += at
			i += max(1, j.unpack(v, k.name, i))
			if j.found {
				return decided
			}
		}
	}
	if v.whole && len(v.b) >= minBytes && len(v.b) <= maxBare && !plain(v.b) {
		if j.unpack(v, "deflate", 0); !j.found && plausibleBrotli(v.b) {
			j.unpack(v, "br", 0)
		}
	}
	return decided
}

// plain reports whether text begins here, which is not compressed.
func plain(b []byte) bool {
	for _, c := range b[:min(len(b), 16)] {
		if !isText(c) {
			return false
		}
	}
	return true
}

type packing struct {
	name string
	find func([]byte) int
}

var packings = []packing{
	{"gzip", func(b []byte) int { return bytes.Index(b, []byte{0x1f, 0x8b, 8}) }},
	{"zstd", func(b []byte) int {
		if i := bytes.Index(b, []byte{0xb5, 0x2f, 0xfd}); i > 0 && b[i-1] == 0x28 {
			return i - 1
		} else if i >= 0 {
			return i + 1 // of no use, but further
		}
		return -1
	}},
	{"zlib", findZlib},
}

// findZlib finds the two bytes with which zlib begins: deflate with a window, and
// a check. The first is a common letter, so both are looked at, eight places at a
// time: the second is '^', or none that text has.
func findZlib(b []byte) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+9 <= len(b); i += 8 {
		first := binary.LittleEndian.Uint64(b[i:]) ^ 0x78*each
		second := binary.LittleEndian.Uint64(b[i+1:])
		caret := second ^ 0x5e*each
		m := (first - each) &^ first & (second | ^(second<<1)&^(second<<2) | (caret-each)&^caret) & high
		for ; m != 0; m &= m - 1 {
			if at := i + bits.TrailingZeros64(m)/8; zlibAt(b, at) {
				return at
			}
		}
	}
	for ; i+1 < len(b); i++ {
		if zlibAt(b, i) {
			return i
		}
	}
	return -1
}

func zlibAt(b []byte, i int) bool {
	return b[i] == 0x78 && (b[i+1] == 0x01 || b[i+1] == 0x5e || b[i+1] == 0x9c || b[i+1] == 0xda)
}

// plausibleBrotli reads the head of a brotli stream (RFC 7932, 9.1 and 9.2), which
// has no mark: it must say that its first block is its last, and of a length that
// fits. Without that every odd byte would cost a window of up to 16 MiB.
func plausibleBrotli(b []byte) bool {
	var head uint64
	for i := range min(len(b), 8) {
		head |= uint64(b[i]) << (8 * i)
	}
	take := func(n int) int {
		v := int(head & (1<<n - 1))
		head >>= n
		return v
	}
	if take(1) == 1 && take(3) == 0 && take(3) == 1 {
		return false // a window of a size that is not standard
	}
	if take(1) == 0 || take(1) == 1 {
		return false // more blocks follow, or nothing at all
	}
	nibbles := take(2) + 4
	if nibbles == 7 {
		return false
	}
	n := take(4*nibbles) + 1
	return n >= len(b)/2 && n >= minBytes && n <= len(b)*maxRatio
}

// unpack decompresses what begins at i, as far as that goes, and judges it. It
// returns how much of the view that took.
func (j *job) unpack(v *view, name string, i int) (used int) {
	look := min(openWork, len(v.b)-i)
	j.steps += look
	if name == "deflate" || name == "br" {
		look = 0 // once for each view, which was paid for
	}
	if j.work += look; j.work > j.limit {
		j.emit(v, TooDeep, "…", i, len(v.b))
		return len(v.b) - i
	}
	d := &j.scratch[v.depth].inflater
	src := &d.src
	src.Reset(v.b[i:])
	r := d.open(name, src)
	if r == nil {
		return 0
	}
	s := &j.scratch[v.depth+1]
	total, kept, again := 0, 0, j.before(v, i)
	for {
		s.out = grow(s.out, piece+overlap)
		n, err := io.ReadFull(r, s.out[kept:piece+overlap])
		total += n
		in := len(v.b) - i - src.Len()
		if j.unpacked += n; again {
			j.unpacked -= n - n/repeated
		}
		if total > maxUnpacked || total > freeUnpacked && total/maxRatio > in || j.unpacked > j.mayUnpack {
			j.emit(v, TooDeep, "…", i, len(v.b))
			return in
		}
		if n > 0 {
			c := j.child(v, name, s.out[:kept+n], i, i+in)
			c.final = true
			j.limit += unpackedWork * n // it is bounded by the ratio above
			if j.nested(c); j.found {
				return in
			}
		}
		if err != nil {
			return in
		}
		kept = copy(s.out, s.out[piece:piece+overlap])
	}
}

// before reports whether a place in a view stands in what was judged already: what
// begins there is unpacked once more, because more of it has come.
func (j *job) before(v *view, at int) bool {
	for ; v.parent != nil; v = v.parent {
		at, _ = v.outer(at, at)
	}
	return at < v.from
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// open begins a stream, nil if it is none.
func (d *inflater) open(name string, src *bytes.Reader) io.Reader {
	var err error
	switch name {
	case "gzip":
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		if err = d.gzip.Reset(src); err == nil {
			return d.gzip
		}
	case "zlib":
		if d.zlib == nil {
			if d.zlib, err = zlib.NewReader(src); err != nil {
				d.zlib = nil
				return nil
			}
			return d.zlib
		}
		if err = d.zlib.(zlib.Resetter).Reset(src, nil); err == nil {
			return d.zlib
		}
	case "deflate":
		if d.raw == nil {
			d.raw = flate.NewReader(src)
			return d.raw
		}
		if err = d.raw.(flate.Resetter).Reset(src, nil); err == nil {
			return d.raw
		}
	case "zstd":
		if d.zstd == nil {
			d.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true), zstd.IgnoreChecksum(true))
			if err != nil {
				return nil
			}
		}
		if err = d.zstd.Reset(src); err == nil {
			return d.zstd
		}
	case "br":
		if d.br == nil {
			d.br = brotli.NewReader(src)
			return d.br
		}
		if err = d.br.Reset(src); err == nil {
			return d.br
		}
	}
	return nil
}
