package mitm

import (
	"io"
	"net/http"
	"sync"
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
	wait time.Duration

	mu      sync.Mutex
	control *http.ResponseController // nil once its handler has returned
}

// Patient returns the request's body, which fails when its client sends nothing
// for [UploadStall], or [StreamStall] where it announced no length. So a client
// that stalls gives back what it holds: a slot, buffers, an upstream connection.
//
// End must be called when the handler returns: an upstream that answers early leaves
// a transport reading on, and a deadline that is set through the writer of a handler
// that has returned is a panic of net/http's (HTTP/2), in a goroutine of its own.
func Patient(w http.ResponseWriter, r *http.Request) (body io.ReadCloser, end func()) {
	wait := UploadStall
	if r.ContentLength < 0 {
		wait = StreamStall
	}
	return newPatient(w, r, wait)
}

func newPatient(w http.ResponseWriter, r *http.Request, wait time.Duration) (body io.ReadCloser, end func()) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, func() {}
	}
	p := &patient{ReadCloser: r.Body, wait: wait, control: http.NewResponseController(w)}
	return p, p.end
}

// Read implements [io.Reader].
func (p *patient) Read(b []byte) (int, error) {
	if !p.until(time.Now().Add(p.wait)) {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := p.ReadCloser.Read(b)
	if err != nil { // the connection goes on to be watched for its client's end
		p.until(time.Time{})
	}
	return n, err
}

// until sets the deadline, and reports whether the handler is still there.
func (p *patient) until(deadline time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.control == nil {
		return false
	}
	_ = p.control.SetReadDeadline(deadline) // a writer without deadlines is a test's
	return true
}

func (p *patient) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.control = nil
}
