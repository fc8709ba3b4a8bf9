package packread

import (
	"bytes"
	"container/list"
	"io"

	"github.com/klauspost/compress/zlib"
)

// Bounds of the work for one object and of what is kept for the next.
const (
	maxChain = 200      // deltas from an object to its base; git makes 50
	maxKept  = 32 << 20 // bytes of bases
)

// Kinds of an entry in a pack.
const (
	offsetDelta = 6
	idDelta     = 7
)

var kinds = [8]string{1: "commit", 2: "tree", 3: "blob", 4: "tag"}

// Reader reads objects of a pack. It keeps what it read last, because the next
// object is often a delta to it. It is for one goroutine.
type Reader struct {
	pack     *Pack
	buf      []byte
	source   bytes.Reader
	inflater io.ReadCloser

	kept  map[int64]*list.Element // by offset
	order list.List               // of kept objects, latest first
	bytes int
}

// object is one whole object.
type object struct {
	at   int64
	kind string
	data []byte
}

// NewReader returns a reader of a pack.
func (p *Pack) NewReader() *Reader { return &Reader{pack: p, kept: map[int64]*list.Element{}} }

// Read returns an object's kind and contents, which must not be changed. The
// error is [ErrAskGit] for what is not read here.
func (r *Reader) Read(oid string) (kind string, data []byte, err error) {
	var id [idSize]byte
	if !parseID(oid, id[:]) {
		return "", nil, ErrAskGit
	}
	at, ok := r.pack.find(id[:])
	if !ok {
		return "", nil, ErrAskGit
	}
	o, err := r.at(at)
	if err != nil {
		return "", nil, err
	}
	if !checked(o.kind, o.data, id[:]) {
		return "", nil, ErrAskGit // and git says what is wrong
	}
	return o.kind, o.data, nil
}

// entry is one entry of a pack as it stands there.
type entry struct {
	at   int64
	kind int
	base int64
	data []byte // contents or delta
}

// at returns the object at an offset: down the chain of deltas to what is whole
// or kept, and up again.
func (r *Reader) at(at int64) (*object, error) {
	var deltas []entry
	var o *object
	for total := 0; o == nil; {
		if o = r.get(at); o != nil {
			break
		}
		e, err := r.entry(at)
		if err != nil {
			return nil, err
		}
		if e.kind != offsetDelta && e.kind != idDelta {
			o = &object{at: at, kind: kinds[e.kind], data: e.data}
			r.keep(o)
			break
		}
		if total += len(e.data); len(deltas) == maxChain || total > 2*MaxObject {
			return nil, ErrAskGit
		}
		deltas = append(deltas, e)
		at = e.base
	}
	for i := len(deltas) - 1; i >= 0; i-- {
		data, ok := apply(o.data, deltas[i].data)
		if !ok {
			return nil, ErrAskGit
		}
		o = &object{at: deltas[i].at, kind: o.kind, data: data}
		r.keep(o)
	}
	return o, nil
}

// entry reads the entry at an offset: kind and size, the base of a delta,
// compressed contents.
func (r *Reader) entry(at int64) (entry, error) {
	raw, err := r.pack.packed(at, r.buf)
	if err != nil {
		return entry{}, err
	}
	r.buf = raw
	e := entry{at: at, kind: int(raw[0] >> 4 & 7)}
	size, n := uint64(raw[0]&15), 1
	for shift := 4; raw[n-1]&0x80 != 0; shift += 7 {
		if n == len(raw) || shift > 32 {
			return entry{}, ErrAskGit
		}
		size |= uint64(raw[n]&0x7f) << shift
		n++
	}
	if size > MaxObject {
		return entry{}, ErrAskGit
	}
	switch raw = raw[n:]; {
	case e.kind == offsetDelta:
		back, n, ok := backwards(raw)
		if !ok || back > at {
			return entry{}, ErrAskGit
		}
		e.base, raw = at-back, raw[n:]
	case e.kind == idDelta:
		base, ok := int64(0), len(raw) >= idSize
		if ok {
			base, ok = r.pack.find(raw[:idSize])
		}
		if !ok {
			return entry{}, ErrAskGit
		}
		e.base, raw = base, raw[idSize:]
	case kinds[e.kind] == "":
		return entry{}, ErrAskGit
	}
	e.data, err = r.inflate(raw, int(size))
	return e, err
}

// backwards reads how far before a delta its base stands.
func backwards(raw []byte) (back int64, n int, ok bool) {
	for n < len(raw) && n < 8 {
		c := raw[n]
		n++
		back |= int64(c & 0x7f)
		if c&0x80 == 0 {
			return back, n, back > 0
		}
		back = (back + 1) << 7
	}
	return 0, 0, false
}

// inflate decompresses exactly size bytes.
func (r *Reader) inflate(raw []byte, size int) ([]byte, error) {
	r.source.Reset(raw)
	var err error
	if r.inflater == nil {
		r.inflater, err = zlib.NewReader(&r.source)
	} else {
		err = r.inflater.(zlib.Resetter).Reset(&r.source, nil)
	}
	if err != nil {
		r.inflater = nil
		return nil, ErrAskGit
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r.inflater, data); err != nil {
		return nil, ErrAskGit
	}
	return data, nil
}

func (r *Reader) get(at int64) *object {
	e := r.kept[at]
	if e == nil {
		return nil
	}
	r.order.MoveToFront(e)
	return e.Value.(*object)
}

func (r *Reader) keep(o *object) {
	r.kept[o.at] = r.order.PushFront(o)
	for r.bytes += len(o.data); r.bytes > maxKept; {
		old := r.order.Remove(r.order.Back()).(*object)
		delete(r.kept, old.at)
		r.bytes -= len(old.data)
	}
}
