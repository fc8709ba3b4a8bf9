package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// ReadFrom reads the whole lines of a log from an offset on, and says where the next
// look begins. A log that has become shorter was set aside, and is read from its
// start. A line that is none, as a crash leaves it, is left out.
func ReadFrom(file string, at int64) ([]Line, int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, at, fmt.Errorf("cannot read an audit log: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil && fi.Size() < at {
		at = 0
	}
	if err == nil {
		_, err = f.Seek(at, io.SeekStart)
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(f)
	}
	if err != nil {
		return nil, at, fmt.Errorf("cannot read an audit log: %w", err)
	}
	var out []Line
	for raw := range bytes.Lines(data) {
		if !bytes.HasSuffix(raw, []byte("\n")) {
			break // half written: it is there at the next look
		}
		at += int64(len(raw))
		var l Line
		if json.Unmarshal(raw, &l) == nil {
			out = append(out, l)
		}
	}
	return out, at, nil
}
