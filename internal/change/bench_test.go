package change

import (
	"fmt"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

// BenchmarkDecision is what an operator waits for before a question is shown: the
// policy in force made of the manifest's and 50 grants, and the words about one more.
func BenchmarkDecision(b *testing.B) {
	base := standing()
	for i := range 200 {
		base.Routes = append(base.Routes, wire.Route{Host: fmt.Sprintf("h%d.example.com", i), Matches: []wire.Match{prefix("/v1/", "GET")}})
	}
	var grants []wire.Grant
	for i := range 50 {
		grants = append(grants, grant(fmt.Sprintf("g%d.example.org", i), 60, exact("/x", "GET")))
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := Apply(base, grants, epoch)
		if err != nil {
			b.Fatal(err)
		}
		Describe(p, grant("new.example.net", 60, exact("/y", "POST")))
	}
}
