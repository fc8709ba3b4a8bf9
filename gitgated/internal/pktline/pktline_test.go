package pktline

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	var b bytes.Buffer
	big := bytes.Repeat([]byte("x"), MaxData+10)
	if Writef(&b, "want %d\n", 1) != nil || WriteFlush(&b) != nil || Write(&b, big) == nil {
		t.Fatal("a line was not written, or one that is too long was")
	}
	if _, err := (Band{&b, 2}).Write(big); err != nil {
		t.Fatal(err)
	}
	line, kind, err := Read(&b)
	if string(line) != "want 1\n" || kind != Data || err != nil {
		t.Errorf("%q %v %v", line, kind, err)
	}
	if _, kind, err := Read(&b); kind != Flush || err != nil {
		t.Errorf("%v %v", kind, err)
	}
	got := 0
	for {
		line, _, err := Read(&b)
		if err == io.EOF {
			break
		}
		if err != nil || line[0] != 2 {
			t.Fatal(line, err)
		}
		got += len(line) - 1
	}
	if got != len(big) {
		t.Errorf("%d bytes came through, not %d", got, len(big))
	}
}

func TestReadRefuses(t *testing.T) {
	for _, in := range []string{"0003", "zzzz", "fffff", "+010abc", "-001", "00", "0010abc", " 004"} {
		if line, kind, err := Read(strings.NewReader(in)); err == nil {
			t.Errorf("%q was read as %q, %v", in, line, kind)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("0006a\n0000"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		for {
			line, kind, err := Read(r)
			if err != nil {
				return
			}
			if kind != Data && line != nil || len(line) > MaxData {
				t.Fatal(line, kind)
			}
		}
	})
}
