package relay

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func key(t testing.TB, b byte) Key {
	t.Helper()
	k, err := NewKey(bytes.Repeat([]byte{b}, KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t testing.TB) *http.Request {
	r := httptest.NewRequest("POST", "https://api.example/v1/x?q=1", nil)
	r.Header.Set("Authorization", "Bearer t0ken")
	r.Header.Set("X-Other", "o")
	key(t, 1).Sign(r, "id1", []string{"Authorization"})
	return r
}

func TestVerify(t *testing.T) {
	r := signed(t)
	c, err := key(t, 1).Verify(r)
	if err != nil || c.RequestID != "id1" || !slices.Equal(c.Fields, []string{"Authorization"}) {
		t.Fatalf("got %+v, %v", c, err)
	}
	if r.Header.Get(Header) != "" {
		t.Error("the header is still there")
	}
	if _, err := key(t, 1).Verify(r); !errors.Is(err, ErrAbsent) {
		t.Errorf("a second time: %v", err)
	}
}

func TestForgeries(t *testing.T) {
	for name, forge := range map[string]func(r *http.Request){
		"other key":        func(r *http.Request) { key(t, 2).Sign(r, "id1", []string{"Authorization"}) },
		"other path":       func(r *http.Request) { r.URL.Path = "/v1/y" },
		"other query":      func(r *http.Request) { r.URL.RawQuery = "q=2" },
		"other method":     func(r *http.Request) { r.Method = "PUT" },
		"other host":       func(r *http.Request) { r.Host = "evil.example" },
		"other value":      func(r *http.Request) { r.Header.Set("Authorization", "Bearer other") },
		"second value":     func(r *http.Request) { r.Header.Add("Authorization", "Bearer other") },
		"one more field":   func(r *http.Request) { edit(r, "f=authorization", "f=authorization,x-other") },
		"no field":         func(r *http.Request) { edit(r, "f=authorization", "f=") },
		"other id":         func(r *http.Request) { edit(r, "id=id1", "id=id2") },
		"later":            func(r *http.Request) { edit(r, " t=", " t=1") },
		"two headers":      func(r *http.Request) { r.Header.Add(Header, r.Header.Get(Header)) },
		"empty header":     func(r *http.Request) { r.Header.Set(Header, "") },
		"other version":    func(r *http.Request) { edit(r, "v1 ", "v2 ") },
		"trailing garbage": func(r *http.Request) { r.Header.Set(Header, r.Header.Get(Header)+" x") },
	} {
		t.Run(name, func(t *testing.T) {
			r := signed(t)
			forge(r)
			if c, err := key(t, 1).Verify(r); !errors.Is(err, ErrForged) {
				t.Errorf("verified as %+v, %v", c, err)
			}
			if r.Header.Get(Header) != "" {
				t.Error("the header is still there")
			}
		})
	}
	if _, err := (Key{}).Verify(signed(t)); !errors.Is(err, ErrForged) {
		t.Errorf("the zero key verified: %v", err)
	}
}

func edit(r *http.Request, old, new string) {
	r.Header.Set(Header, strings.Replace(r.Header.Get(Header), old, new, 1))
}

// FuzzVerify lets nothing verify but what [Key.Sign] writes, to the letter. The
// time is a header's own: one that was signed a moment ago is as good.
func FuzzVerify(f *testing.F) {
	f.Add(signed(f).Header.Get(Header))
	f.Fuzz(func(t *testing.T, header string) {
		r := signed(t)
		good := strings.Fields(r.Header.Get(Header))
		r.Header.Set(Header, header)
		if _, err := key(t, 1).Verify(r); err != nil {
			return
		}
		if parts := strings.Split(header, " "); len(parts) == len(good) {
			good[2] = parts[2]
			good[4] = "mac=" + key(t, 1).mac(r, "id1", strings.TrimPrefix(good[2], "t="), strings.TrimPrefix(good[3], "f="))
		}
		if header != strings.Join(good, " ") {
			t.Errorf("%q verified", header)
		}
	})
}

func BenchmarkSignVerify(b *testing.B) {
	k, r := key(b, 1), signed(b)
	b.ReportAllocs()
	for b.Loop() {
		k.Sign(r, "id1", []string{"Authorization"})
		if _, err := k.Verify(r); err != nil {
			b.Fatal(err)
		}
	}
}
