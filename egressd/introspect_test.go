package main

import (
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
)

func TestIntrospectionReadsBackAsAManifest(t *testing.T) {
	c := startChain(t, nil, defaultRoutes)
	resp, err := c.client(t, false).Get("http://" + ownHost + "/routes")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	var got struct {
		Egress struct {
			Routes []wire.Route `yaml:"routes"`
		} `yaml:"egress"`
	}
	if err := wire.Decode("routes", body, 1, &got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s, %v in\n%s", resp.Status, err, body)
	}
	if !reflect.DeepEqual(got.Egress.Routes, c.config.Routes) {
		t.Errorf("got\n%s", body)
	}
	if strings.Contains(string(body), "real-token") {
		t.Error("a value is in it")
	}
	for _, tc := range []struct{ method, path string }{{"GET", "/"}, {"POST", "/routes"}, {"GET", "/../routes"}} {
		req, _ := http.NewRequest(tc.method, "http://"+ownHost+tc.path, nil)
		resp, err := c.client(t, false).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 {
			t.Errorf("%s %s: %s", tc.method, tc.path, resp.Status)
		}
	}
	if seen := c.upstream.Seen(); len(seen) != 0 {
		t.Errorf("the upstream saw %+v", seen)
	}
}
