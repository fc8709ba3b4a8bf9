package own

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/bottlesuite/bottle/internal/secret"
)

func TestBodyStopsBeforeAPlaceholder(t *testing.T) {
	for _, before := range []string{"", "x", "bottle-", "bottle-placeholder", strings.Repeat("bottle-place", 9000)} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the end": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(NewBody(io.NopCloser(wrap(strings.NewReader(before + mine + " and more")))))
			if !errors.Is(err, ErrPlaceholder) || !strings.HasPrefix(before, string(got)) {
				t.Errorf("%s, %d bytes before: read %d bytes, %v", name, len(before), len(got), err)
			}
			got, err = io.ReadAll(NewBody(io.NopCloser(wrap(strings.NewReader(before)))))
			if err != nil || string(got) != before {
				t.Errorf("%s, %d bytes alone: read %d bytes, %v", name, len(before), len(got), err)
			}
		}
	}
}

// TestBodyHoldsNothingBack reads from a client that sends half a message and
// waits for the answer to it.
func TestBodyHoldsNothingBack(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	b := NewBody(r)
	go func() { _, _ = w.Write([]byte("ping")) }()
	p := make([]byte, 64)
	if n, err := b.Read(p); n != 4 || err != nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
}

func TestPrime(t *testing.T) {
	if err := NewBody(io.NopCloser(strings.NewReader("x" + mine))).Prime(1 + len(mine)); !errors.Is(err, ErrPlaceholder) {
		t.Errorf("primed with a placeholder: %v", err)
	}
	const clean = "a body that ends in the beginning of one: bottle-pl"
	b := NewBody(io.NopCloser(strings.NewReader(clean)))
	if err := b.Prime(len(clean)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || string(got) != clean {
		t.Errorf("read %q, %v", got, err)
	}
	broken := NewBody(io.NopCloser(io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(io.ErrUnexpectedEOF))))
	if err := broken.Prime(10); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(broken); err != io.ErrUnexpectedEOF || string(got) != "ab" {
		t.Errorf("read %q, %v", got, err)
	}
}

func FuzzBody(f *testing.F) {
	f.Add([]byte("x"+mine), uint8(3), uint8(40))
	f.Add([]byte("bottle-placebottle-placeholder"), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, piece, room uint8) {
		src := &pieces{data, int(piece) + 1}
		b := NewBody(io.NopCloser(src))
		var got []byte
		var err error
		for p := make([]byte, int(room)+1); err == nil; {
			var n int
			n, err = b.Read(p)
			got = append(got, p[:n]...)
		}
		if i := bytes.Index(data, []byte(secret.PlaceholderPrefix)); i >= 0 {
			if err != ErrPlaceholder || len(got) > i || !bytes.HasPrefix(data, got) {
				t.Fatalf("read %q, %v of %q", got, err, data)
			}
		} else if err != io.EOF || !bytes.Equal(got, data) {
			t.Fatalf("read %q, %v of %q", got, err, data)
		}
	})
}

// pieces gives data a few bytes at a time.
type pieces struct {
	data []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.data[:min(p.n, len(p.data))])
	p.data = p.data[n:]
	return n, nil
}

func BenchmarkBody(b *testing.B) {
	data := bytes.Repeat([]byte("a line of a body that has nothing in it\n"), 1<<20/40)
	p := make([]byte, 32<<10)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		body := NewBody(io.NopCloser(bytes.NewReader(data)))
		for {
			if _, err := body.Read(p); err != nil {
				break
			}
		}
	}
}
