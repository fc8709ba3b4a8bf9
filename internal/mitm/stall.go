package mitm

import (
	"io"
	"net/http"
	"time"
)

// How long a client may send nothing in the middle of a body. One that announced
// a length is uploading and has no reason to pause; one that did not may be
// holding a conversation.
const (
	UploadStall = 2 * time.Minute
	StreamStall = 30 * time.Minute
)

// patient is a body whose reads end after a while without a byte.
type patient struct {
	io.ReadCloser
	control *http.ResponseController
	wait    time.Duration
}

// Patient returns the request's body, which fails when its client sends nothing
// for [UploadStall], or [StreamStall] where it announced no length. So a client
// that stalls gives back what it holds: a slot, buffers, an upstream connection.
func Patient(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	wait := UploadStall
	if r.ContentLength < 0 {
		wait = StreamStall
	}
	return newPatient(w, r, wait)
}

func newPatient(w http.ResponseWriter, r *http.Request, wait time.Duration) io.ReadCloser {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body
	}
	return &patient{r.Body, http.NewResponseController(w), wait}
}

// Read implements [io.Reader].
func (p *patient) Read(b []byte) (int, error) {
	// A writer without deadlines is a test's.
	_ = p.control.SetReadDeadline(time.Now().Add(p.wait))
	n, err := p.ReadCloser.Read(b)
	if err != nil { // the connection goes on to be watched for its client's end
		_ = p.control.SetReadDeadline(time.Time{})
	}
	return n, err
}
