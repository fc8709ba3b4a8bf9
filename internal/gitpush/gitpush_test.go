package gitpush

import (
	"strings"
	"testing"
)

func TestIsPush(t *testing.T) {
	for _, tc := range []struct {
		path, query string
		want        bool
	}{
		{"/o/r.git/info/refs", "service=git-receive-pack", true},
		{"/o/r.git/info/refs", "a=b&service=git%2Dreceive%2dpack", true},
		{"/o/r.git/info/refs", "service=Git-Receive-Pack&x=%zz", true},
		{"/o/r.git/info;x=1/refs", "service=git-receive-pack", true},
		{"/", "p=/o/r.git/git-receive-pack", true},
		{"/o/r.git/git-receive-pack", "", true},
		{"/o/r.git/git-receive-pack;x", "", true},
		{"/o/r.git/git-receive-pack%3Bx", "", true},
		{"/o/r.git%2Fgit-receive-pack", "", true},
		{"/o/r.git/GIT-receive-pack/", "", true},
		{"/o/r.git/info/refs", "service=git-upload-pack", false},
		{"/o/r.git/git-upload-pack", "", false},
		{"/search", "q=git+push", false},
	} {
		if got := IsPush(tc.path, tc.query); got != tc.want {
			t.Errorf("%s?%s: %v", tc.path, tc.query, got)
		}
	}
}

func FuzzIsDownload(f *testing.F) {
	f.Add(`{"operation":"download"}`)
	f.Add(`{"operation":"upload","operation":"download"}`)
	f.Fuzz(func(t *testing.T, body string) {
		if isDownload([]byte(body)) && !strings.Contains(body, `"download"`) {
			t.Errorf("%q was taken for a download", body)
		}
	})
}
