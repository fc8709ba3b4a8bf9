package guest

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRequestComesThrough(t *testing.T) {
	want := Request{Argv: []string{"sh", "-c", "echo \x00 ünï"}, User: "root", Terminal: &Size{24, 80}, Env: []string{"A=b"}, Now: time.Unix(1e9, 0).UTC()}
	var b bytes.Buffer
	if err := WriteRequest(&b, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRequest(&b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := WriteRequest(io.Discard, Request{Argv: []string{strings.Repeat("a", maxRequest)}}); err == nil {
		t.Error("a command of any length is taken")
	}
}

func TestFramesComeThrough(t *testing.T) {
	var b bytes.Buffer
	sent := strings.Repeat("abcdefg", MaxFrame/5)
	if n, err := Framed(&b, KindOutput).Write([]byte(sent)); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	var got []byte
	for b.Len() > 0 {
		k, data, err := ReadFrame(&b)
		if k != KindOutput || err != nil {
			t.Fatal(k, err)
		}
		got = append(got, data...)
	}
	if string(got) != sent {
		t.Errorf("%d bytes of %d", len(got), len(sent))
	}
}

func TestFrameIsBounded(t *testing.T) {
	if _, _, err := ReadFrame(strings.NewReader("\x04\xff\xff\xff\xff")); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Error(err)
	}
	if _, _, err := ReadFrame(strings.NewReader("\x04\x00\x00")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestBanner(t *testing.T) {
	var b bytes.Buffer
	_ = WriteBanner(&b, nil)
	b.WriteString("rest")
	if err := ReadBanner(&b); err != nil || b.String() != "rest" {
		t.Errorf("%v, %q", err, b.String())
	}
	for said, want := range map[string]string{
		"bottle-guest 2 failed: no disk\n":   "no disk",
		"bottle-guest 3 ready\n":             "version 3",
		"Linux version 6.1\n":                "not what a guest says",
		"":                                   "before it was ready",
		strings.Repeat("a", maxBanner+1):     "says more",
		"bottle-guest 2 failed: \x1b[31ma\n": `\x1b`,
	} {
		if err := ReadBanner(strings.NewReader(said)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", said, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("\x04\x00\x00\x00\x01a"))
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte("bottle-guest 1 ready\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ReadRequest(bytes.NewReader(b))
		_ = ReadBanner(bytes.NewReader(b))
		r := bytes.NewReader(b)
		for {
			_, data, err := ReadFrame(r)
			if err != nil {
				return
			}
			if len(data) > MaxFrame {
				t.Fatal("a frame beyond the bound")
			}
		}
	})
}
