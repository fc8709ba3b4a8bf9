//go:build linux

package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

// sayRaw says the task's bytes to a server and reports the beginning of what it
// says, whatever it is.
func sayRaw(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	if t.Web == nil {
		return fmt.Errorf("the task says nothing")
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", t.Web.Dial)
	if err != nil {
		return fmt.Errorf("%s does not answer: %s", t.Web.Dial, word(err))
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	if _, err := conn.Write(t.Web.Send); err != nil {
		return fmt.Errorf("%s hung up: %s", t.Web.Dial, word(err))
	}
	said, err := io.ReadAll(io.LimitReader(conn, maxBody))
	what := string(said)
	if err != nil && len(said) == 0 {
		what = word(err)
	}
	r.Seen = []wire.ProbeSeen{{Target: t.Web.Dial, Open: len(said) > 0, What: what}}
	return nil
}

// readFiles reads the beginning of files that show more than the guest. A directory is
// read when it can be listed and holds anything.
func readFiles(_ context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	each(t, r, func(target string) (bool, string) {
		done := make(chan error, 1)
		var got int
		go func() { // a device may have nothing to say for ever
			f, err := os.Open(target)
			if entries, derr := os.ReadDir(target); derr == nil {
				got = len(entries)
			} else if err == nil {
				var b [64]byte
				got, err = f.Read(b[:])
			}
			if f != nil {
				_ = f.Close()
			}
			done <- err
		}()
		select {
		case err := <-done:
			switch {
			case err == io.EOF:
				return false, "it is empty"
			case err != nil:
				return false, word(err)
			}
			if got == 0 {
				return false, "it is empty"
			}
			return true, fmt.Sprintf("%d bytes or names were read", got)
		case <-time.After(patience):
			return true, "it was opened"
		}
	})
	return nil
}

// mcp is a client of a server of tools, as far as one is needed to ask it for what
// it does not offer.
type mcp struct {
	url, session string
	id           int
}

// callTools lists the tools of the server that the first target names, and calls
// the others by name.
func callTools(ctx context.Context, t wire.ProbeTask, r *wire.ProbeReport) error {
	m := &mcp{url: t.Targets[0]}
	if _, err := m.call(ctx, "initialize", map[string]any{
		"protocolVersion": "2025-06-18", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "probe", "version": "1"},
	}); err != nil {
		return err
	}
	if err := m.send(ctx, map[string]any{"jsonrpc": "2.0", "method": "notifications/initialized"}, nil); err != nil {
		return err
	}
	listed, err := m.call(ctx, "tools/list", map[string]any{})
	if err != nil {
		return err
	}
	var tools struct{ Tools []struct{ Name string } }
	if err := json.Unmarshal(listed, &tools); err != nil {
		return fmt.Errorf("the list of tools cannot be read: %w", err)
	}
	for _, tool := range tools.Tools {
		r.Facts = append(r.Facts, tool.Name)
	}
	for _, name := range t.Targets[1:] {
		answer, err := m.call(ctx, "tools/call", map[string]any{"name": name, "arguments": map[string]any{"id": t.Token, "decision": "approve"}})
		s := wire.ProbeSeen{Target: name, Open: err == nil && !strings.Contains(string(answer), `"isError":true`), What: string(answer)}
		if err != nil {
			s.What = err.Error()
		}
		r.Seen = append(r.Seen, s)
	}
	return nil
}

// call makes a call and returns its result; an error is the server's, too.
func (m *mcp) call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	m.id++
	var answer struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := m.send(ctx, map[string]any{"jsonrpc": "2.0", "id": m.id, "method": method, "params": params}, &answer); err != nil {
		return nil, err
	}
	if answer.Error != nil {
		return nil, fmt.Errorf("%s", answer.Error.Message)
	}
	return answer.Result, nil
}

func (m *mcp) send(ctx context.Context, message, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if m.session != "" {
		req.Header.Set("Mcp-Session-Id", m.session)
		req.Header.Set("Mcp-Protocol-Version", "2025-06-18")
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if s := resp.Header.Get("Mcp-Session-Id"); s != "" {
		m.session = s
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || answer == nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d: %s", resp.StatusCode, data)
	}
	for line := range bytes.Lines(data) { // one event, or plain JSON
		if line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("data: ")); bytes.HasPrefix(line, []byte("{")) {
			return json.Unmarshal(line, answer)
		}
	}
	return fmt.Errorf("an answer without a message")
}
