package secretscan

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"time"
)

// Known values are found without being known: what is given is a fingerprint,
// made by [Key.Fingerprint] on the other side of a wall.
//
// A fingerprint is the rolling hashes of all pieces of [Shingle] bytes that a
// value has, in lower case, under a key. The scan rolls the same hash over
// everything, at every depth of decoding, and counts which pieces it has met.
// All of them, or a good part of them, wherever they stand and in how many
// requests, are the value. Whoever has both key and fingerprint can find the
// value; one of them alone is worth nothing.

// Sizes of known values.
const (
	// Shingle is the length of the pieces. A shorter value cannot be known.
	Shingle = 8
	// MaxKnown bounds a value; what is beyond is left out of its fingerprint.
	MaxKnown = 512
	// parts is the fraction of a value's pieces (one in so many) that makes it.
	parts = 4
	// inARow is how many pieces in a row give a value away that has more.
	inARow = 12
)

// KnownKind says what a known value is.
type KnownKind string

// The kinds. Their names are the rules of what is found.
const (
	KnownSecret KnownKind = "known-secret" // a real credential
	Canary      KnownKind = "canary"       // a planted value, of no use but to be seen leaving
)

// Fingerprint stands for a value.
type Fingerprint struct {
	// Name is the value's name, such as that of its variable.
	Name   string
	Kind   KnownKind
	Pieces []uint64
}

// Key is a key of fingerprints.
type Key struct{ table [256]uint64 }

// NewKey derives a key from 32 random bytes.
func NewKey(secret []byte) *Key {
	k := new(Key)
	for i := range k.table {
		sum := sha256.Sum256(append([]byte{'b', byte(i)}, secret...))
		k.table[i] = binary.LittleEndian.Uint64(sum[:])
	}
	for c := 'A'; c <= 'Z'; c++ {
		k.table[c] = k.table[c+'a'-'A']
	}
	return k
}

// Fingerprint computes that of a value. It refuses one that is too short, or of
// too few different bytes, to be told from ordinary text.
func (k *Key) Fingerprint(name string, kind KnownKind, value []byte) (Fingerprint, error) {
	value = value[:min(len(value), MaxKnown)]
	var distinct [256]bool
	n := 0
	for _, c := range value {
		if !distinct[c] {
			distinct[c] = true
			n++
		}
	}
	if len(value) < Shingle || n < 5 {
		return Fingerprint{}, fmt.Errorf("the value of %s is too short or too simple to be told from ordinary text: it has %d bytes, %d of them different; a known value needs %d, and 5", name, len(value), n, Shingle)
	}
	f := Fingerprint{Name: name, Kind: kind}
	var h uint64
	for i, c := range value {
		h = bits.RotateLeft64(h, 1) ^ k.table[c]
		if i >= Shingle {
			h ^= bits.RotateLeft64(k.table[value[i-Shingle]], Shingle)
		}
		if i >= Shingle-1 {
			f.Pieces = append(f.Pieces, h)
		}
	}
	return f, nil
}

// Known is a set of fingerprints under one key. It is immutable.
type Known struct {
	key    *Key
	filter [1 << 16 / 64]uint64
	where  map[uint64][]spot
	values []Fingerprint
}

// spot is a piece of a value.
type spot struct{ value, piece int32 }

// NewKnown builds a set; nil for none.
func NewKnown(k *Key, values []Fingerprint) *Known {
	if len(values) == 0 {
		return nil
	}
	n := &Known{key: k, where: map[uint64][]spot{}, values: values}
	for v, f := range values {
		for i, h := range f.Pieces {
			n.filter[h>>54] |= 1 << (h >> 48 & 63)
			n.where[h] = append(n.where[h], spot{int32(v), int32(i)})
		}
	}
	return n
}

// Sightings are the pieces of known values that were seen, of one request, or of
// several to the same host within a time. It is safe for concurrent use.
type Sightings struct {
	mu    sync.Mutex
	seen  map[int32]*sighting
	until time.Time
}

type sighting struct {
	pieces [MaxKnown / 64]uint64
	n      int
}

// add notes a piece and reports whether it is new, and how many there are.
func (s *Sightings) add(p spot) (fresh bool, n int) {
	if s.seen == nil {
		s.seen = map[int32]*sighting{}
	}
	g := s.seen[p.value]
	if g == nil {
		g = new(sighting)
		s.seen[p.value] = g
	}
	w, bit := &g.pieces[p.piece/64], uint64(1)<<(p.piece%64)
	if *w&bit == 0 {
		*w |= bit
		g.n++
		fresh = true
	}
	return fresh, g.n
}

// known rolls over a view. It returns the place from which on a value may have
// begun that the end of the view cuts off.
func (j *job) known(v *view) (decided int) {
	k := j.s.known
	decided = len(v.b)
	if k == nil || len(v.b) < Shingle {
		return decided
	}
	if j.seen == nil {
		j.seen = new(Sightings)
	}
	begin := max(0, v.from-MaxKnown)
	table := &k.key.table
	var h uint64
	var last spot
	row, lastAt := 0, -1
	for i := begin; i < len(v.b); i++ {
		h = bits.RotateLeft64(h, 1) ^ table[v.b[i]]
		if i >= begin+Shingle {
			h ^= bits.RotateLeft64(table[v.b[i-Shingle]], Shingle)
		} else if i < begin+Shingle-1 {
			continue
		}
		if k.filter[h>>54]&(1<<(h>>48&63)) == 0 {
			continue
		}
		for _, p := range k.where[h] {
			if lastAt == i-1 && p.value == last.value && p.piece == last.piece+1 {
				row++
			} else {
				row = 1
			}
			last, lastAt = p, i
			if j.gives(v, p, row, i) {
				return decided
			}
		}
	}
	if !v.final && lastAt == len(v.b)-1 && row < MaxReach { // it may go on
		decided = max(v.from, lastAt-row-Shingle+2)
	}
	return decided
}

// gives reports whether a piece, with what was seen before, gives its value away.
func (j *job) gives(v *view, p spot, row, i int) (stop bool) {
	k := j.s.known
	f := &k.values[p.value]
	j.seen.mu.Lock()
	_, n := j.seen.add(p)
	j.seen.mu.Unlock()
	if n*parts < len(f.Pieces) && row < inARow && n < len(f.Pieces) {
		return false
	}
	return j.emit(v, string(f.Kind), f.Name, max(0, i-row-Shingle+2), i+1)
}
