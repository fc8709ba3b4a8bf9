package secretscan

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

const source = `func (s *Scanner) scan(b []byte, from int, final bool) (decided int, f Finding, found bool) {
	// The task is to ask for each disk-sized piece whether it is secret or encoded.
	for i := from; i < len(b); i++ { if !s.table[b[i]] { continue } ; log.Printf("--- %d -----\n", i) }
	return http_client.get(self.config_map["npm_registry"], timeout=30, access_key=None, hf_model="x")
}
`
const chat = `{"model":"m-1","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"Please read the secret_access_key handling in sk-learn's glue code, then explain it. \"ghost\" \\n"}]}],"metadata":{"user_id":"123e4567-e89b-12d3-a456-426614174000"}}
`

const minified = `!function(e,t){"object"==typeof exports?t(exports):t(e.lib={})}(this,function(e){"use strict";var t=Object.prototype.hasOwnProperty;function n(e,t){for(var r=0;r<t.length;r++){var i=t[r];i.enumerable=i.enumerable||!1,i.configurable=!0,Object.defineProperty(e,i.key,i)}}e.k=n,e.tokenize=function(e){return e.split(/[\s,]+/).map(function(e){return e.toLowerCase()})}});`

func corpora() map[string][]byte {
	const size = 1 << 20
	rng := rand.New(rand.NewPCG(5, 6))
	random := make([]byte, size)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	fill := func(s string) []byte { return []byte(strings.Repeat(s, size/len(s)+1)[:size]) }
	image := `{"source":{"type":"base64","media_type":"image/png","data":"` + base64.StdEncoding.EncodeToString(random)
	return map[string][]byte{
		"source": fill(source), "chat": fill(chat), "random": random, "image": []byte(image[:size]), "minified": fill(minified),
	}
}

// perCPU reports the throughput by the time that the process had, which others
// on the machine do not change.
func perCPU(b *testing.B, size int, f func()) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	f()
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for b.Loop() {
		f()
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	took := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(size)*float64(b.N)*1e3/float64(took), "MB/cpu-s")
}

func BenchmarkFind(b *testing.B) {
	for name, data := range corpora() {
		for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				perCPU(b, size, func() {
					if f, ok := Default.Find(data[:size]); ok {
						b.Fatal(f)
					}
				})
			})
		}
	}
}

func BenchmarkReader(b *testing.B) {
	data := corpora()["chat"]
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, Default.NewReader(bytes.NewReader(data))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFindSmall(b *testing.B) {
	data := []byte(chat)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		Default.Find(data)
	}
}
