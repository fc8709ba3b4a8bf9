package secretscan

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"strings"
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

func corpora() map[string][]byte {
	const size = 1 << 20
	rng := rand.New(rand.NewPCG(5, 6))
	random := make([]byte, size)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	fill := func(s string) []byte { return []byte(strings.Repeat(s, size/len(s)+1)[:size]) }
	return map[string][]byte{
		"source": fill(source), "json": fill(chat), "random": random,
		"base64": []byte(base64.StdEncoding.EncodeToString(random)[:size]),
	}
}

func BenchmarkFind(b *testing.B) {
	for name, data := range corpora() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := Default.Find(data); ok {
					b.Fatal("found something")
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	data := corpora()["json"]
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
