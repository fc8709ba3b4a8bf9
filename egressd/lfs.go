package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/bottlesuite/bottle/internal/policy"
	"github.com/bottlesuite/bottle/internal/route"
)

// maxBatch bounds a batch request of Git LFS; git-lfs asks for a hundred
// objects at a time.
const maxBatch = 1 << 20

// refuseLFSUpload finds the requests by which Git LFS writes: an upload batch,
// whose body alone tells it from a download, and everything else under info/lfs
// that is not a read. Pushes take the way of the git gate, with their objects.
// It leaves the body as it found it.
func refuseLFSUpload(r *http.Request, rd reading) *policy.Decision {
	path := strings.ToLower(route.BareSlashes(rd.path))
	i := strings.Index(path, "/info/lfs/")
	if i < 0 || rd.method == http.MethodGet || rd.method == http.MethodHead {
		return nil
	}
	const detail = "Git LFS uploads over HTTPS are refused; push to the remote that the bottle declares, through the git gate."
	if path[i:] != "/info/lfs/objects/batch" || rd.method != http.MethodPost || r.Header.Get("Content-Encoding") != "" {
		return refuse(policy.ReasonGitPush, detail)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBatch+1))
	if err != nil || len(body) > maxBatch || !isDownload(body) {
		return refuse(policy.ReasonGitPush, detail)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), r.Body}
	return nil
}

// isDownload reports whether a batch request names one operation, in one
// spelling, and that is download.
func isDownload(body []byte) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	found := 0
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return false
		}
		if strings.EqualFold(key.(string), "operation") {
			if key != "operation" || string(value) != `"download"` {
				return false
			}
			found++
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return false
	}
	_, err := d.Token()
	return err == io.EOF && found == 1
}
