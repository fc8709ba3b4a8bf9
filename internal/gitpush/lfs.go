package gitpush

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxBatch bounds a batch request of Git LFS; git-lfs asks for a hundred
// objects at a time.
const maxBatch = 1 << 20

// Detail is the sentence for an agent whose push was refused.
const Detail = "Git pushes over HTTPS, LFS uploads included, are refused; push to the remote that the bottle declares, through the git gate."

// IsLFSWrite reports whether a request is one by which Git LFS writes and that
// can be told without its body: anything below info/lfs but a read and a batch.
// Path must be as route.PathWithSlashes returns it.
func IsLFSWrite(method, path string) bool {
	if method == http.MethodGet || method == http.MethodHead {
		return false
	}
	path = plain(path)
	return strings.Contains(path, "/info/lfs/") && (method != http.MethodPost || !isBatch(path))
}

func isBatch(path string) bool {
	return strings.HasSuffix(strings.TrimSuffix(path, "/"), "/objects/batch")
}

// RefuseLFS reports whether a request is one by which Git LFS writes: what
// [IsLFSWrite] finds, and an upload batch, whose body alone tells it from a
// download. It reads the body of a batch and leaves it as it found it.
func RefuseLFS(r *http.Request, path string) bool {
	if IsLFSWrite(r.Method, path) {
		return true
	}
	path = plain(path)
	if r.Method == http.MethodGet || r.Method == http.MethodHead || !isBatch(path) {
		return false
	}
	below := strings.Contains(path, "/info/lfs/")
	if r.Method != http.MethodPost || r.Header.Get("Content-Encoding") != "" {
		return below // outside info/lfs "objects/batch" may be somebody's own API
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBatch+1))
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	if below {
		return err != nil || len(body) > maxBatch || !isDownload(body)
	}
	return isUpload(body)
}

// isUpload reports whether a body outside of info/lfs is nevertheless an upload
// batch, as a server with another LFS root would take it.
func isUpload(body []byte) bool {
	var batch struct {
		Operation string `json:"operation"`
		Objects   []struct {
			OID string `json:"oid"`
		} `json:"objects"`
	}
	if len(body) > maxBatch { // cut off, so looked at as text
		return bytes.Contains(body, []byte(`"upload"`)) && bytes.Contains(body, []byte(`"oid"`))
	}
	return json.Unmarshal(body, &batch) == nil && !isDownload(body) && len(batch.Objects) > 0 && batch.Objects[0].OID != ""
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
