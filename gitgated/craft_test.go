package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf16"
)

func zipped(name string, data []byte) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, _ := z.Create(name) // a buffer takes everything
	_, _ = f.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func tarred(name string, data []byte) []byte {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	t := tar.NewWriter(g)
	_ = t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}) // as above
	_, _ = t.Write(data)
	_, _ = t.Close(), g.Close()
	return b.Bytes()
}

func wideText(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func rawTree(w *world, dir string) []byte {
	raw, _ := hex.DecodeString(w.git(dir, "rev-parse", "HEAD^{tree}"))
	return raw
}

// emptyPack is a pack without objects.
func emptyPack() []byte {
	b, _ := hex.DecodeString("5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e")
	return b
}

// raw sends a push that git's client would not make.
func (w *world) raw(dir, ref string, pack []byte) {
	w.t.Helper()
	line := fmt.Sprintf("%040d %040d %s\x00report-status side-band-64k", 0, 7, ref)
	body := fmt.Sprintf("%04x%s0000%s", len(line)+4, line, pack)
	resp, err := http.Post(w.url()+"/git-receive-pack", "application/x-git-receive-pack-request", strings.NewReader(body))
	must(w.t, err)
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	w.said = string(text)
}
