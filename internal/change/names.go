package change

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/bottlesuite/bottle/internal/route"
)

// describeHost says what a host pattern means beyond its letters.
func describeHost(before Policy, pattern string, say sayer) {
	host, port, wildcard, err := route.SplitPattern(pattern)
	if err != nil {
		say(true, "%v", err)
		return
	}
	if wildcard {
		say(true, "covers every name below %s, also names that do not exist yet", host)
		if s, _ := publicsuffix.PublicSuffix(host); s == host {
			say(true, "anybody can get a name below %s: it is a public suffix", host)
		}
	}
	switch port {
	case route.DefaultPort:
	case "80":
		say(true, "goes over plain HTTP, which can be read and changed on its way")
	default:
		say(true, "goes to port %s instead of 443", port)
	}
	for _, label := range strings.Split(host, ".") {
		if strings.HasPrefix(label, "xn--") {
			say(true, "the name holds %s, which stands for letters that may look like others", label)
		}
	}
	if other := lookAlike(host, before); other != "" {
		say(true, "the name is easily taken for %s, which the bottle allows", other)
	}
}

// lookAlike finds an allowed name that a reader could take host for.
func lookAlike(host string, p Policy) string {
	shape := skeleton(host)
	for _, pattern := range append(p.Hosts(), p.Dialled()...) {
		known, _, _, err := route.SplitPattern(canonical(pattern))
		if err != nil || known == host || strings.HasSuffix(host, "."+known) || strings.HasSuffix(known, "."+host) {
			continue
		}
		if skeleton(known) == shape || strings.HasPrefix(host, known+".") || strings.HasPrefix(host, known+"-") || oneApart(host, known) {
			return known
		}
	}
	return ""
}

// skeleton maps letters that look alike to one of them.
func skeleton(host string) string {
	return strings.NewReplacer(
		"rn", "m", "vv", "w", "cl", "d", "0", "o", "1", "l", "i", "l", "5", "s", "2", "z", "8", "b", "-", "", "_", "", ".", "",
	).Replace(host)
}

// oneApart reports whether one letter more, less or other turns a into b.
func oneApart(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || len(a) < 6 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i == len(a) || a[i+1:] == b[i+1:]
	}
	return a[i:] == b[i+1:]
}
