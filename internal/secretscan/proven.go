package secretscan

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
)

// proven are rules whose secrets prove themselves by a checksum or by structure.
var proven = []Rule{
	{Name: "payment-card", Literals: []string{"card", "visa", "amex", "cvv"}, Fold: true, Check: cardNear, span: cardBounds},
	{Name: "iban", Literals: []string{"iban"}, Fold: true, Check: ibanNear, span: ibanBounds},
	{Name: "bitcoin-extended-key", Literals: []string{"xprv", "yprv", "zprv", "tprv"}, Check: extendedKey},
	{Name: "bitcoin-private-key", Literals: []string{"5H", "5J", "5K"}, Check: wif},
	{Name: "bitcoin-private-key", Literals: wifNames, Fold: true, Check: wifNear},
	{Name: "azure-client-secret", Literals: []string{"Q~"}, Check: azure},
	{Name: "maxmind-key", Literals: []string{"_mmk"}, Check: maxMind},
	{Name: "jwt", Literals: []string{"eyJ"}, Check: jwt, optional: true},
}

// cardReach is how far behind its name a number may begin.
const cardReach = 64

func cardNear(c Candidate) Verdict { v, _, _ := findCard(c); return v }

func cardBounds(c Candidate) (int, int) { _, from, to := findCard(c); return from, to }

// findCard looks for the number of a card soon after a word that speaks of one:
// 13 to 19 digits, in groups or not, of a scheme's range, whose last is the check
// of Luhn.
func findCard(c Candidate) (v Verdict, from, to int) {
	end := min(len(c.Data), c.Body+cardReach)
	for from = c.Body; from < end; from++ {
		if !isDigit(c.Data[from]) || isDigit(c.Data[from-1]) || alnum[c.Data[from-1]] {
			continue
		}
		var digits [20]byte
		n := 0
	digits:
		for to = from; to < len(c.Data) && n < len(digits); to++ {
			switch ch := c.Data[to]; {
			case isDigit(ch):
				digits[n] = ch - '0'
				n++
				continue
			case (ch == ' ' || ch == '-') && to+1 < len(c.Data) && isDigit(c.Data[to+1]) && n%4 == 0:
				continue
			}
			break digits
		}
		if to == len(c.Data) && !c.Final {
			return More, 0, 0
		}
		if n >= 13 && n <= 19 && scheme(digits[:n]) && luhn(digits[:n]) && (to == len(c.Data) || !alnum[c.Data[to]]) {
			return Yes, from, to
		}
		from = to
	}
	if end == c.Body+cardReach || c.Final {
		return No, 0, 0
	}
	return More, 0, 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// scheme reports whether digits are in the range of a card scheme, and not one of
// the numbers that documentation uses.
func scheme(d []byte) bool {
	two := int(d[0])*10 + int(d[1])
	four := two*100 + int(d[2])*10 + int(d[3])
	switch {
	case d[0] == 4 && (len(d) == 13 || len(d) == 16 || len(d) == 19):
	case len(d) == 16 && (two >= 51 && two <= 55 || four >= 2221 && four <= 2720 || four == 6011 || two == 65 || four/10 == 352 || two == 35):
	case len(d) == 15 && (two == 34 || two == 37):
	case len(d) == 14 && (two == 36 || two == 38):
	default:
		return false
	}
	var seen [10]bool
	distinct := 0
	for _, c := range d {
		if !seen[c] {
			seen[c] = true
			distinct++
		}
	}
	return distinct > 3 // 4242 4242 4242 4242, 4111 1111 1111 1111
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		n := int(d[len(d)-1-i])
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

func ibanNear(c Candidate) Verdict { v, _, _ := findIBAN(c); return v }

func ibanBounds(c Candidate) (int, int) { _, from, to := findIBAN(c); return from, to }

// findIBAN looks for an account's number behind its name: a country, two check
// digits, 11 to 30 more, and 1 modulo 97.
func findIBAN(c Candidate) (v Verdict, from, to int) {
	const reach, most = 32, 34
	for from = c.Body; ; from++ {
		if from+4 > len(c.Data) || from > c.Body+reach {
			break
		}
		d := c.Data[from:]
		if !upper(d[0]) || !upper(d[1]) || !isDigit(d[2]) || !isDigit(d[3]) || alnum[c.Data[from-1]] {
			continue
		}
		var number []byte
		for to = from; to < len(c.Data) && len(number) <= most; to++ {
			if c.Data[to] == ' ' {
				continue
			}
			if !upper(c.Data[to]) && !isDigit(c.Data[to]) {
				break
			}
			number = append(number, c.Data[to])
		}
		if to == len(c.Data) && !c.Final {
			return More, 0, 0
		}
		if len(number) >= 15 && len(number) <= most && mod97(number) {
			return Yes, from, to
		}
		return No, 0, 0
	}
	if c.Final || from > c.Body+reach {
		return No, 0, 0
	}
	return More, 0, 0
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

func mod97(number []byte) bool {
	rest := 0
	for i := range number {
		c := number[(i+4)%len(number)]
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return rest == 1
}

// extendedKey verifies the checksum of a BIP-32 private key.
func extendedKey(c Candidate) Verdict { return base58Checked(c, c.Start, 111) }

// wif verifies that of a private key in the format of wallets.
func wif(c Candidate) Verdict { return base58Checked(c, c.Start, 51) }

var wifNames = []string{"wif", "privkey", "private_key", "privatekey", "private key"}

// wifNear looks for a compressed one, which begins with too common a letter,
// behind a name.
func wifNear(c Candidate) Verdict {
	const reach = 24
	for at := c.Body; at < c.Body+reach; at++ {
		if at >= len(c.Data) {
			return c.ranOut()
		}
		if ch := c.Data[at]; (ch == 'K' || ch == 'L') && !alnum[c.Data[at-1]] {
			return base58Checked(c, at, 52)
		}
	}
	return No
}

var base58Set = chars("1-9", "A-H", "J-N", "P-Z", "a-k", "m-z")

const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58Checked verifies n digits of base58check.
func base58Checked(c Candidate, at, n int) Verdict {
	for i := at; i < at+n; i++ {
		if i >= len(c.Data) {
			return c.ranOut()
		}
		if !base58Set[c.Data[i]] {
			return No
		}
	}
	var number [maxBase58]byte
	raw := fromBase58(&number, c.Data[at:at+n])
	if len(raw) < 5 {
		return No
	}
	body := raw[:len(raw)-4]
	first := sha256.Sum256(body)
	second := sha256.Sum256(first[:])
	if bytes.Equal(second[:4], raw[len(raw)-4:]) {
		return Yes
	}
	return No
}

// maxBase58 is how many bytes 111 digits make, in words of four.
const maxBase58 = 84

// fromBase58 computes the number that up to 111 digits are, five of them at a time,
// without zeros in front.
func fromBase58(number *[maxBase58]byte, digits []byte) []byte {
	var words [maxBase58 / 4]uint32
	used := 0
	for len(digits) > 0 {
		carry, radix := uint64(0), uint64(1)
		n := min(5, len(digits))
		for _, ch := range digits[:n] {
			carry, radix = carry*58+uint64(base58Value[ch]), radix*58
		}
		digits = digits[n:]
		for i := range words[:used] {
			carry += radix * uint64(words[i])
			words[i], carry = uint32(carry), carry>>32
		}
		if carry > 0 && used < len(words) {
			words[used] = uint32(carry)
			used++
		}
	}
	for i, w := range words {
		binary.BigEndian.PutUint32(number[maxBase58-4-4*i:], w)
	}
	return bytes.TrimLeft(number[:], "\x00")
}

var base58Value = func() (t [256]byte) {
	for i := range base58Digits {
		t[base58Digits[i]] = byte(i)
	}
	return t
}()

// jwt wants the structure of a signed token: two parts that are JSON objects, of
// which the first names an algorithm, and a signature.
func jwt(c Candidate) Verdict {
	end := c.Start
	for end < len(c.Data) && end < c.Start+MaxReach && (urlSafe[c.Data[end]] || c.Data[end] == '.') {
		end++
	}
	if end == len(c.Data) && !c.Final {
		return More
	}
	parts := bytes.Split(c.Data[c.Start:end], []byte("."))
	if len(parts) != 3 || len(parts[2]) < 20 {
		return No
	}
	var head struct{ Alg string }
	var claims map[string]json.RawMessage
	if !jsonPart(parts[0], &head) || head.Alg == "" || !jsonPart(parts[1], &claims) {
		return No
	}
	return Yes
}

func jsonPart(b []byte, v any) bool {
	raw := make([]byte, base64.RawURLEncoding.DecodedLen(len(b)))
	n, err := base64.RawURLEncoding.Decode(raw, b)
	return err == nil && json.Unmarshal(raw[:n], v) == nil
}

var azureSet = chars("a-z", "A-Z", "0-9", "_~.-")

// azure wants three bytes and a digit in front of the mark, and 31 to 34 behind.
func azure(c Candidate) Verdict {
	const front, behind = 4, 31
	if c.Start < front || !isDigit(c.Data[c.Start-1]) {
		return No
	}
	for _, ch := range c.Data[c.Start-front : c.Start-1] {
		if !azureSet[ch] {
			return No
		}
	}
	for i := c.Body; i < c.Body+behind; i++ {
		if i >= len(c.Data) {
			return c.ranOut()
		}
		if !azureSet[c.Data[i]] {
			return No
		}
	}
	if mixed(c.Data[c.Body : c.Body+behind]) {
		return Yes
	}
	return No
}

// maxMind wants 29 letters or digits in front of the mark, and six in front of
// those.
func maxMind(c Candidate) Verdict {
	const id, body = 6, 29
	if c.Start < id+1+body {
		return No
	}
	key := c.Data[c.Start-id-1-body : c.Start]
	for i, ch := range key {
		if i == id && ch != '_' || i != id && !alnum[ch] {
			return No
		}
	}
	if mixed(key[id+1:]) {
		return Yes
	}
	return No
}
