package secretscan

import (
	"bytes"
	"testing"
)

// Whatever is nested in what, decoding ends within its bounds, and says the same
// of a buffer twice, within its share of work; a window says what the whole buffer does, or holds its bytes.
func FuzzDecode(f *testing.F) {
	token := "gh" + "p_" + r36
	for _, s := range []string{
		token, "Z2hwX2ExQjJjM0Q0ZTVGNmc3SDhpOUow", `\u0067\x68%70&#95;`, "67:68:70:5f:61:31:42:32:63:33:44:34:65:35", "[103,104,112,95,97,49,66,50,99,51,68,52,101]",
		"g\x00h\x00p\x00_\x00a\x001\x00B\x002\x00c\x003\x00D\x004\x00", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "\x28\xb5\x2f\xfd\x00\x00", "\x78\x9c\x01",
		"ｇｈｐ＿ａ１", "g\u200bh\u200bp_", "%2525252567", "abandon abandon about legal winner thank year wave sausage worth useful",
		"AAAAAAAAAAAAAAAAAAAAAAAA\nBBBBBBBBBBBBBBBBBBBBBBBB\nCCCCCCCCCCCCCCCCCCCCCCCC",
	} {
		f.Add([]byte(s), uint16(9))
	}
	for _, b := range costly(600) {
		f.Add(b, uint16(90))
	}
	k := NewKey(bytes.Repeat([]byte{1}, 32))
	print, err := k.Fingerprint("x", KnownSecret, []byte("correct-Horse7battery.staple"))
	if err != nil {
		f.Fatal(err)
	}
	s := Default.WithKnown(NewKnown(k, []Fingerprint{print}))
	f.Fuzz(func(t *testing.T, data []byte, cut uint16) {
		bounded(t, s, "the input", data, false)
		bounded(t, s, "the input", data, true)
		first, found := s.Find(data)
		again, foundAgain := s.Find(data)
		if first != again || found != foundAgain {
			t.Fatalf("%v %v, then %v %v", first, found, again, foundAgain)
		}
		if found && (first.Offset < 0 || first.End > len(data) || first.Offset > first.End) {
			t.Fatalf("%d bytes: %+v", len(data), first)
		}
		for _, one := range s.FindAll(data) {
			if one.Offset < 0 || one.End > len(data) || one.Offset > one.End {
				t.Fatalf("%d bytes: %+v", len(data), one)
			}
		}
		copied := bytes.Clone(data)
		redact := func(string) Action { return Redact }
		if s.Scan(copied, Options{Policy: redact}) == nil && len(copied) != len(data) {
			t.Fatal("redaction changed a length")
		}
		w, n := s.NewWindow(), min(len(data), int(cut))
		w.Write(data[:n])
		if out, stop := w.Clean(false); stop == nil && !bytes.HasPrefix(data, out) {
			t.Fatal("a window gave out other bytes")
		}
	})
}

// The automata agree with package regexp about where they match.
func FuzzMachine(f *testing.F) {
	f.Add("abc-0123456789abcdef", uint16(3))
	f.Fuzz(func(t *testing.T, text string, which uint16) {
		v := vendored[int(which)%len(vendored)]
		c := compile(v, true)
		got, end := c.machine().match([]byte(text), 0, len(text)+1, true)
		want := c.search().FindStringIndex(text)
		if anchored := want != nil && want[0] == 0; anchored && got != Yes {
			t.Fatalf("%s: regexp matches %q, the machine does not", v.id, text)
		}
		if got == Yes && (end < 0 || end > len(text)) {
			t.Fatalf("%s: end %d of %d", v.id, end, len(text))
		}
	})
}
