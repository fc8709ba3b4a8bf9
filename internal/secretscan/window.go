package secretscan

import (
	"fmt"
	"io"
)

// Window judges a stream that comes in pieces. Bytes go in by [Window.Write]
// and come out of [Window.Clean] once no secret can begin in them; usually that
// is all of them, at once. Its memory is bounded by the largest piece plus
// [MaxReach] and [Context], and what decoders take.
type Window struct {
	s      *Scanner
	policy Policy
	note   func(Finding)
	seen   *Sightings
	// buf holds context that has gone, then what is held.
	buf   []byte
	clean int // everything before it has been given out
	base  int // offset in the stream of buf[0]
	// unpacked is what decompressors put out of what is clean.
	unpacked int
	// runStart is the offset of the run of encoded bytes that buf begins within,
	// or -1.
	runStart int
}

// NewWindow returns an empty window.
func (s *Scanner) NewWindow() *Window { return &Window{s: s, runStart: -1} }

// Options are what a scan of one exchange has beside its scanner. The zero value
// blocks what is found.
type Options struct {
	Policy Policy
	// Note is told of what was redacted or passed with a warning.
	Note func(Finding)
	// Sightings collects the pieces of known values; one for each scan if nil.
	Sightings *Sightings
}

// With sets the options of a window and returns it.
func (w *Window) With(o Options) *Window {
	w.policy, w.note, w.seen = o.Policy, o.Note, o.Sightings
	return w
}

// Write appends a piece of the stream. What Clean returned before is invalid
// after it.
func (w *Window) Write(p []byte) {
	w.compact()
	w.buf = append(w.buf, p...)
}

func (w *Window) compact() {
	drop := w.clean - Context
	if drop <= 0 {
		return
	}
	if !encoded[w.buf[drop-1]] {
		w.runStart = -1
	} else {
		k := drop - 1
		for k > 0 && encoded[w.buf[k-1]] {
			k--
		}
		if k > 0 || w.runStart < 0 {
			w.runStart = w.base + k
		}
	}
	w.buf = w.buf[:copy(w.buf, w.buf[drop:])]
	w.clean -= drop
	w.base += drop
}

// maxRewrites bounds how often a piece is judged again after something in it was
// overwritten.
const maxRewrites = 8

// Clean returns the bytes that are newly clear to go. With final it decides
// about all that is left, as the end of the stream.
func (w *Window) Clean(final bool) ([]byte, *Found) {
	for range maxRewrites {
		decided, rewritten, found := w.judge(final)
		if found != nil {
			return nil, found
		}
		if rewritten {
			continue
		}
		out := w.buf[w.clean:decided]
		w.clean = decided
		return out, nil
	}
	return nil, &Found{Finding{Rule: TooDeep, Offset: w.base + w.clean, Masked: "…"}}
}

// judge looks at what is held. It overwrites what is to be redacted.
func (w *Window) judge(final bool) (decided int, rewritten bool, found *Found) {
	j := w.s.job(w.buf, w.clean, final)
	defer w.s.free(j)
	j.policy, j.seen = w.policy, w.seen
	j.views[0].start, j.views[0].runStart = w.base, w.runStart
	j.unpacked, j.mayUnpack = w.unpacked, j.mayUnpack+maxRatio*w.base
	decided = max(w.clean, j.run())
	if j.found {
		f := j.first
		f.Offset, f.End = f.Offset+w.base, f.End+w.base
		return 0, false, &Found{f}
	}
	for _, f := range j.list {
		if j.redacts(f.Rule) {
			if !redactable(f) || f.Offset < w.clean {
				f.Offset, f.End = f.Offset+w.base, f.End+w.base
				return 0, false, &Found{f}
			}
			overwrite(w.buf[f.Offset:f.End])
			rewritten = true
		}
		if w.note != nil {
			f.Offset, f.End = f.Offset+w.base, f.End+w.base
			w.note(f)
		}
	}
	if !rewritten {
		w.unpacked = j.unpacked
	}
	return decided, rewritten, nil
}

// filler takes the place of each byte of a redacted secret. It has a meaning in
// no format, is a digit of every base64, and no rule takes a row of it for a
// secret, so lengths and quotes stay as they are.
const filler = 'x'

func overwrite(b []byte) {
	for i := range b {
		b[i] = filler
	}
}

// redactable reports whether overwriting a finding leaves what it stands in whole.
func redactable(f Finding) bool {
	for _, name := range []string{"gzip", "zlib", "zstd", "deflate", "br", "utf-16"} {
		if f.Via == name || len(f.Via) > len(name) && (f.Via[len(f.Via)-len(name)-1:] == " "+name) {
			return false
		}
	}
	return f.Rule != "private-key" && f.Rule != "putty-private-key"
}

// Held returns how many bytes are waiting for what follows.
func (w *Window) Held() int { return len(w.buf) - w.clean }

// Found is the error of a stream in which a secret was found.
type Found struct{ Finding }

func (f *Found) Error() string {
	if f.Rule == TooDeep {
		return fmt.Sprintf("what stands at byte %d decodes to more than can be judged", f.Offset)
	}
	return fmt.Sprintf("a secret of the kind %s stands at byte %d", f.Rule, f.Offset)
}

// Scan judges a whole buffer, and overwrites in it what is to be redacted.
func (s *Scanner) Scan(b []byte, o Options) *Found {
	w := Window{s: s, buf: b, runStart: -1}
	w.With(o)
	_, found := w.Clean(true)
	return found
}

// Reader passes a stream on as far as it is clean.
type Reader struct {
	src io.Reader
	w   *Window
	out []byte
	in  []byte // made on first use
	err error
}

// chunk is how much a Reader takes at once.
const chunk = 32 << 10

// NewReader returns a reader of src that fails with a [*Found] instead of
// passing on a byte of the first secret.
func (s *Scanner) NewReader(src io.Reader) *Reader {
	return &Reader{src: src, w: s.NewWindow()}
}

// With sets the options of a reader and returns it.
func (r *Reader) With(o Options) *Reader {
	r.w.With(o)
	return r
}

// Prime hands over the beginning of the stream, which was read already, and
// judges it. The reader keeps the slice. It returns a [*Found] if a secret
// stands in it.
func (r *Reader) Prime(head []byte) error {
	r.w.buf = head
	clean, found := r.w.Clean(false)
	if found != nil {
		r.err = found
		return found
	}
	r.out = clean
	return nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.in == nil {
			r.in = make([]byte, chunk)
		}
		n, err := r.src.Read(r.in)
		r.w.Write(r.in[:n])
		clean, found := r.w.Clean(err == io.EOF)
		if found != nil {
			r.err = found
			return 0, found
		}
		r.out, r.err = clean, err
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}
