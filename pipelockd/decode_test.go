package main

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/bottlesuite/bottle/internal/secretscan"
)

// squeeze compresses at a level, with a flush in the middle if asked for.
func squeeze(t testing.TB, coding string, plain []byte, level int, flushAt int) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w interface {
		io.WriteCloser
		Flush() error
	}
	var err error
	switch coding {
	case "gzip":
		w, err = gzip.NewWriterLevel(&buf, level)
	case "zstd":
		w, err = zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevel(1+(level+2)%4)))
	case "br":
		w = brotli.NewWriterLevel(&buf, (level+2)%10)
	default:
		w, err = zlib.NewWriterLevel(&buf, level)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := w.Write(plain[:flushAt])
	err2 := w.Flush()
	_, err3 := w.Write(plain[flushAt:])
	if err := errors.Join(err1, err2, err3, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// plainOf decompresses as far as that goes.
func plainOf(coding string, raw []byte) []byte {
	var r io.Reader
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(raw))
	case "zstd":
		r, err = zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1))
	case "br":
		r = brotli.NewReader(bytes.NewReader(raw))
	default:
		r, err = zlib.NewReader(bytes.NewReader(raw))
	}
	if err != nil {
		return nil
	}
	plain, _ := io.ReadAll(r)
	return plain
}

// Wherever a secret stands, and however the body is compressed and cut, what was
// released before the scan stopped must not decompress to it.
func TestDecodedReaderStopsInTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for round := range 60 {
		plain := make([]byte, 1000+rng.IntN(300<<10))
		for i := range plain {
			switch round % 3 {
			case 0:
				plain[i] = byte(rng.Uint32()) // stored
			case 1:
				plain[i] = "abcdefgh "[rng.IntN(9)]
			default:
				plain[i] = "ab"[i>>10&1] // long matches
			}
		}
		at := rng.IntN(len(plain) - len(secret))
		level := []int{flate.NoCompression, flate.BestSpeed, flate.DefaultCompression, flate.HuffmanOnly}[rng.IntN(4)]
		coding := []string{"gzip", "deflate", "zstd", "br"}[round%4]
		clean := squeeze(t, coding, plain, level, at)
		out, err := io.ReadAll(bare().newDecodedReader(iotest.HalfReader(bytes.NewReader(clean)), coding))
		if err != nil || !bytes.Equal(out, clean) {
			t.Fatalf("round %d: a clean body is changed or refused: %v", round, err)
		}
		copy(plain[at:], secret)
		raw := squeeze(t, coding, plain, level, at+len(secret)/2)
		out, err = io.ReadAll(bare().newDecodedReader(bytes.NewReader(raw), coding))
		var l *leak
		if !errors.As(err, &l) || l.where != "body" {
			t.Fatalf("round %d: error %v", round, err)
		}
		if !bytes.HasPrefix(raw, out) || bytes.Contains(plainOf(coding, out), []byte(secret)) {
			t.Fatalf("round %d: the secret at %d of %d went through", round, at, len(plain))
		}
	}
}

// A header of gzip has room for text of its own.
func TestSecretInAGzipHeader(t *testing.T) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Comment = secret
	_, _ = w.Write([]byte("harmless"))
	_ = w.Close()
	_, err := io.ReadAll(bare().newDecodedReader(&buf, "gzip"))
	var l *leak
	if !errors.As(err, &l) {
		t.Errorf("error %v", err)
	}
}

func FuzzDecodedReader(f *testing.F) {
	f.Add(squeeze(f, "gzip", []byte("hello "+secret), 6, 3), uint8(1))
	f.Add(squeeze(f, "deflate", bytes.Repeat([]byte("hello "), 9000), 6, 3), uint8(0))
	f.Add([]byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, uint8(1))
	f.Add(squeeze(f, "zstd", []byte("hello "+secret), 1, 3), uint8(2))
	f.Add(squeeze(f, "br", []byte("hello "+secret), 1, 3), uint8(3))
	f.Fuzz(func(t *testing.T, raw []byte, kind uint8) {
		coding := []string{"deflate", "gzip", "zstd", "br"}[kind%4]
		out, err := io.ReadAll(bare().newDecodedReader(bytes.NewReader(raw), coding))
		if !bytes.HasPrefix(raw, out) || err == nil && len(out) != len(raw) {
			t.Fatalf("%d of %d bytes came out, %v", len(out), len(raw), err)
		}
		if _, ok := secretscan.Default.Find(plainOf(coding, out)); ok && err == nil {
			t.Fatal("a secret went through")
		}
	})
}

func BenchmarkDecodedReader(b *testing.B) {
	plain := bytes.Repeat([]byte(`{"role":"user","content":"Read the npm_config and disk-usage of task 42."},`), 14000)
	raw := squeeze(b, "gzip", plain, 6, 0)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, bare().newDecodedReader(bytes.NewReader(raw), "gzip")); err != nil {
			b.Fatal(err)
		}
	}
}
