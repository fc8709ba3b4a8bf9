package scrub

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

type flusher interface {
	io.WriteCloser
	Flush() error
}

var encoders = map[string]func(io.Writer) flusher{
	"gzip":    func(w io.Writer) flusher { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) flusher { return zlib.NewWriter(w) },
	"raw":     func(w io.Writer) flusher { f, _ := flate.NewWriter(w, 6); return f },
	"br":      func(w io.Writer) flusher { return brotli.NewWriter(w) },
	"zstd":    func(w io.Writer) flusher { z, _ := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)); return z },
}

func TestDecode(t *testing.T) {
	const text = "some text, some text, and more of it"
	for name, enc := range encoders {
		var b bytes.Buffer
		w := enc(&b)
		_, _ = io.WriteString(w, text)
		w.Close()
		header := strings.Replace(name, "raw", "deflate", 1)
		r, err := Decode(header, &b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		r, _ = Decode(header, strings.NewReader(""))
		if got, err := io.ReadAll(r); err != nil || len(got) != 0 {
			t.Errorf("%s, empty: %q, %v", name, got, err)
		}
	}
	var inner, outer bytes.Buffer
	z := encoders["gzip"](&inner)
	_, _ = io.WriteString(z, text)
	z.Close()
	w := encoders["br"](&outer)
	_, _ = w.Write(inner.Bytes())
	w.Close()
	r, err := Decode("gzip, BR", &outer)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != text {
		t.Errorf("two layers: %q, %v", got, err)
	}
	for _, bad := range []string{"compress", "gzip, x", "gzip,gzip,gzip,gzip,gzip"} {
		var e *ErrEncoding
		if _, err := Decode(bad, nil); !errors.As(err, &e) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestFlushedEventsComeOut encodes an event, flushes, and reads it while the
// stream goes on.
func TestFlushedEventsComeOut(t *testing.T) {
	for name, enc := range encoders {
		pr, pw := io.Pipe()
		r, err := Decode(strings.Replace(name, "raw", "deflate", 1), pr)
		if err != nil {
			t.Fatal(err)
		}
		w := enc(pw)
		buf := make([]byte, 64)
		for _, event := range []string{"data: one\n\n", "data: two\n\n"} {
			flushed := make(chan error, 1)
			go func() {
				_, err := io.WriteString(w, event)
				flushed <- errors.Join(err, w.Flush())
			}()
			if _, err := io.ReadFull(r, buf[:len(event)]); err != nil || string(buf[:len(event)]) != event {
				t.Fatalf("%s: %q, %v", name, buf[:len(event)], err)
			}
			if err := <-flushed; err != nil {
				t.Fatal(err)
			}
		}
		pr.Close()
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("gzip", []byte{0x1f, 0x8b})
	f.Add("deflate", []byte{0x78, 0x9c})
	f.Add("zstd,br", []byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, encoding string, data []byte) {
		r, err := Decode(encoding, bytes.NewReader(data))
		if err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, r, 1<<20)
	})
}
