package wire

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/bottlesuite/bottle/internal/policy"
)

func TestProblemOnTheWire(t *testing.T) {
	w := httptest.NewRecorder()
	p := NewProblem(policy.Denied(policy.ReasonPathNotAllowed, "routes[0]", "No."), "id1", "GET", "a.example", "/x")
	p.Ask = &Ask{Tool: "egress-block", Arguments: map[string]any{"host": "a.example"}}
	p.Write(w)
	want := `{"type":"about:blank","title":"Denied by the bottle","status":403,"detail":"No.","reason":"path_not_allowed","request_id":"id1","method":"GET","host":"a.example","path":"/x","rule":"routes[0]","ask":{"tool":"egress-block","arguments":{"host":"a.example"}}}` + "\n"
	if w.Code != 403 || w.Body.String() != want || w.Header().Get(DenyHeader) != "path_not_allowed" || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v\n%s", w.Code, w.Header(), w.Body)
	}
	w = httptest.NewRecorder()
	NewProblem(policy.Denied(policy.ReasonUpstreamUnreachable, "", "No."), "", "", "", "").Write(w)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 502 || got["rule"] != nil || got["ask"] != nil {
		t.Errorf("%d %v %v", w.Code, got, err)
	}
}
