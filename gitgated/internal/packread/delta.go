package packread

import "slices"

// apply makes an object of its base and a delta: two sizes, then pieces of the
// base to copy and bytes to insert.
func apply(base, delta []byte) ([]byte, bool) {
	from, delta, ok := number(delta)
	if !ok || from != uint64(len(base)) {
		return nil, false
	}
	size, delta, ok := number(delta)
	if !ok || size > MaxObject {
		return nil, false
	}
	out := make([]byte, 0, size)
	for len(delta) > 0 {
		c := delta[0]
		delta = delta[1:]
		var piece []byte
		switch {
		case c&0x80 != 0:
			if piece, delta, ok = copied(base, c, delta); !ok {
				return nil, false
			}
		case c == 0 || int(c) > len(delta):
			return nil, false
		default:
			piece, delta = delta[:c], delta[c:]
		}
		if len(piece) > int(size)-len(out) {
			return nil, false
		}
		out = append(out, piece...)
	}
	return slices.Clip(out), len(out) == int(size)
}

// copied reads where a piece of the base begins and how long it is. The bits of
// c say which bytes of both numbers follow; the others are 0.
func copied(base []byte, c byte, delta []byte) (piece, rest []byte, ok bool) {
	var n [7]byte
	for i := range n {
		if c&(1<<i) == 0 {
			continue
		}
		if len(delta) == 0 {
			return nil, nil, false
		}
		n[i], delta = delta[0], delta[1:]
	}
	at := int(n[0]) | int(n[1])<<8 | int(n[2])<<16 | int(n[3])<<24
	size := int(n[4]) | int(n[5])<<8 | int(n[6])<<16
	if size == 0 {
		size = 0x10000
	}
	if at > len(base) || size > len(base)-at {
		return nil, nil, false
	}
	return base[at : at+size], delta, true
}

// number reads a number of 7 bits a byte, lowest first.
func number(in []byte) (n uint64, rest []byte, ok bool) {
	for i := 0; i < len(in) && i < 5; i++ {
		n |= uint64(in[i]&0x7f) << (7 * i)
		if in[i]&0x80 == 0 {
			return n, in[i+1:], true
		}
	}
	return 0, nil, false
}
