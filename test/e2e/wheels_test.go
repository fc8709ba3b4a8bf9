package e2e

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
)

// wheels are an index of Python packages (PEP 503) with two pure ones in it:
// demo-top, which needs demo-leaf. As with many indexes, the files lie beside
// the folder of the index, not in it.
func wheels() http.Handler {
	mux := http.NewServeMux()
	for name, needs := range map[string]string{"demo-top": "demo-leaf>=1", "demo-leaf": ""} {
		module := strings.ReplaceAll(name, "-", "_")
		file := module + "-1.0-py3-none-any.whl"
		data := wheel(name, module, needs)
		mux.HandleFunc("GET /pip/root/simple/"+name+"/", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, "<!DOCTYPE html><html><body><a href=\"../../files/%s#sha256=%x\">%s</a></body></html>", file, sha256.Sum256(data), file)
		})
		mux.HandleFunc("GET /pip/root/files/"+file, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(data) // a client that is gone needs no answer
		})
	}
	return mux
}

// wheel packs one module that says who it is.
func wheel(name, module, needs string) []byte {
	info := module + "-1.0.dist-info/"
	metadata := "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n"
	if needs != "" {
		metadata += "Requires-Dist: " + needs + "\n"
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range []struct{ name, text string }{
		{module + ".py", "who = '" + name + "'\n"},
		{info + "METADATA", metadata},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", module + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		w, err := z.Create(f.name)
		if err == nil {
			_, err = w.Write([]byte(f.text))
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}
