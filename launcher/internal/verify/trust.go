package verify

import (
	"fmt"
	"strings"
)

// judgeTrust wants every certificate in the guest's stores to be the bottle's root.
func judgeTrust(e *evidence, p *plan) (result, seen string) {
	want, err := e.site.root()
	if err != nil {
		return Error, err.Error()
	}
	n := 0
	for _, f := range p.report.Facts {
		sum, file, _ := strings.Cut(f, " ")
		if sum != want {
			return Open, fmt.Sprintf("%s holds a certificate that is not the bottle's root, %.16s…", file, sum)
		}
		n++
	}
	if n == 0 {
		return Error, "the bottle's own root is not there"
	}
	return Held, fmt.Sprintf("the bottle's root, %d times, and no other", n)
}
