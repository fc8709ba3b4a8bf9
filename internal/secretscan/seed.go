package secretscan

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"math/bits"
	"strings"
	"sync"
)

// SeedPhrase is the rule of BIP-39 seed phrases.
const SeedPhrase = "bip39-seed-phrase"

//go:embed bip39.txt
var seedText string

// seedTable finds the index of each word of the English list of BIP-39: open
// addressing over the word's letters, five bits each. It is built on first use.
type seedTable struct {
	words [1 << 13]uint64
	ids   [1 << 13]uint16
	// begin has a bit for the first three letters of each word.
	begin [1 << 15 / 64]uint64
}

var seedWords = sync.OnceValue(func() *seedTable {
	t := new(seedTable)
	for i, w := range strings.Fields(seedText) {
		var key uint64
		for _, c := range []byte(w) {
			key = key<<5 | uint64(c&0x1f)
		}
		h := t.slot(key)
		for t.words[h] != 0 {
			h = (h + 1) % uint64(len(t.words))
		}
		t.words[h], t.ids[h] = key, uint16(i)
		first := uint64(w[0]&0x1f)<<10 | uint64(w[1]&0x1f)<<5 | uint64(w[2]&0x1f)
		t.begin[first>>6] |= 1 << (first & 63)
	}
	return t
})

func (t *seedTable) slot(key uint64) uint64 { return key * 0x9e3779b97f4a7c15 >> 51 }

func (t *seedTable) find(key uint64) (id uint16, ok bool) {
	for h := t.slot(key); t.words[h] != 0; h = (h + 1) % uint64(len(t.words)) {
		if t.words[h] == key {
			return t.ids[h], true
		}
	}
	return 0, false
}

// Sizes of a phrase. Its words have three to eight letters, so twelve of them,
// with what divides them, take at least minPhrase bytes.
const (
	minSeed   = 12
	maxSeed   = 24
	minPhrase = minSeed*3 + minSeed - 1
	maxWord   = 8
	maxBlank  = 12 // what may divide two words: quotes, commas, numbers of a list
)

// seeds looks for seed phrases: twelve words of the list in a row, or 15, 18, 21,
// 24, whose last bits are the checksum of the others. Twelve words of a list that
// has no "the" and no "of" hardly ever stand in a row, so it looks at one word in
// every minPhrase bytes.
func (j *job) seeds(v *view) {
	b := v.b
	if !j.all && j.action(SeedPhrase) == Ignore {
		return
	}
	t := seedWords()
	const stride = minPhrase - 2*maxWord
	for i := max(0, v.from-Context); i+minPhrase <= len(b); i += stride {
		start := i + nextWord(b[i:])
		if _, _, ok := t.wordAt(b, start); !ok {
			continue
		}
		from, to, ids := t.phraseAround(b, start, j.phrase[:0])
		j.phrase = ids
		j.steps += len(ids)
		i = max(i, to-stride)
		if n := validSeed(ids); n > 0 && j.emit(v, SeedPhrase, "…", from, to) {
			return
		}
	}
}

var letterSet = chars("a-z", "A-Z")

// nextWord returns where the first whole word begins after the one that b begins
// within: behind up to maxWord letters and as many bytes that are none.
func nextWord(b []byte) int {
	is := letterBits(binary.LittleEndian.Uint64(b)) | letterBits(binary.LittleEndian.Uint64(b[8:]))<<8
	rest := min(bits.TrailingZeros64(^is), maxWord) // into the gap, so that a whole word comes next
	return rest + min(bits.TrailingZeros64(is>>rest), maxWord)
}

// letterBits has a bit for each byte that is a letter.
func letterBits(w uint64) uint64 {
	const each = 0x0101010101010101
	low := w&(0x7f*each) | 0x20*each
	is := (low + (0x80-'a')*each) &^ (low + (0x80-'z'-1)*each) &^ w & (0x80 * each)
	return is >> 7 * 0x0102040810204080 >> 56
}

// wordAt reads a word of the list.
func (t *seedTable) wordAt(b []byte, i int) (id uint16, end int, ok bool) {
	if i+3 > len(b) {
		return 0, 0, false
	}
	key := uint64(b[i]&0x1f)<<10 | uint64(b[i+1]&0x1f)<<5 | uint64(b[i+2]&0x1f)
	if t.begin[key>>6]&(1<<(key&63)) == 0 || !letterSet[b[i]] || !letterSet[b[i+1]] || !letterSet[b[i+2]] {
		return 0, 0, false
	}
	n := 3
	for i+n < len(b) && letterSet[b[i+n]] {
		if n == maxWord {
			return 0, 0, false
		}
		key = key<<5 | uint64(b[i+n]&0x1f)
		n++
	}
	id, ok = t.find(key)
	return id, i + n, ok
}

// phraseAround returns the row of words of the list that the one at i is in: from
// as many words in front of it as a phrase has, and four times as many in all.
func (t *seedTable) phraseAround(b []byte, i int, ids []uint16) (from, to int, row []uint16) {
	from = i
	for range maxSeed {
		k := from - 1
		for k >= 0 && from-k <= maxBlank && !letterSet[b[k]] {
			k--
		}
		end := k + 1
		for k >= 0 && end-k <= maxWord && letterSet[b[k]] {
			k--
		}
		if _, e, ok := t.wordAt(b, k+1); !ok || e != end || end == from {
			break
		}
		from = k + 1
	}
	for at := from; ; {
		id, end, ok := t.wordAt(b, at)
		if !ok {
			return from, to, ids
		}
		ids, to = append(ids, id), end
		for at = end; at < len(b) && at-end <= maxBlank && !letterSet[b[at]]; at++ {
		}
		if at == end || len(ids) > 4*maxSeed {
			return from, to, ids
		}
	}
}

// validSeed returns the length of a phrase in a row of words, 0 for none.
func validSeed(ids []uint16) int {
	for n := maxSeed; n >= minSeed; n -= 3 {
		for i := 0; i+n <= len(ids); i++ {
			if seedChecks(ids[i : i+n]) {
				return n
			}
		}
	}
	return 0
}

// seedChecks verifies a phrase's checksum. A phrase of few different words is
// somebody's example.
func seedChecks(ids []uint16) bool {
	var met [2048 / 64]uint64
	distinct := 0
	for _, id := range ids {
		if bit := uint64(1) << (id % 64); met[id/64]&bit == 0 {
			met[id/64] |= bit
			distinct++
		}
	}
	if distinct < len(ids)/2 {
		return false
	}
	var data [33]byte
	var acc uint64
	at, held := 0, 0
	for _, id := range ids {
		for acc, held = acc<<11|uint64(id), held+11; held >= 8; at++ {
			held -= 8
			data[at] = byte(acc >> held)
		}
	}
	if held > 0 {
		data[at] = byte(acc << (8 - held))
	}
	sumBits := len(ids) / 3
	entropy := data[:4*sumBits]
	sum := sha256.Sum256(entropy)
	return data[4*sumBits]>>(8-sumBits) == sum[0]>>(8-sumBits)
}
