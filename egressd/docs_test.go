package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/bottlesuite/bottle/internal/daemon"
	"github.com/bottlesuite/bottle/internal/wire"
)

// TestDocumentedConfiguration holds docs/egressd.md against the code: its example
// is good, and names every key that there is.
func TestDocumentedConfiguration(t *testing.T) {
	doc := readFile(t, "../docs/egressd.md")
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/egressd.md has no configuration")
	}
	file := filepath.Join(t.TempDir(), "egressd.yaml")
	if err := os.WriteFile(file, block[1], 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Run(context.Background(), []string{"validate", file}, nil, daemon.Stdio{Out: &out, Err: &out}); err != nil {
		t.Error(err)
	}
	for _, key := range yamlKeys(reflect.TypeFor[wire.Egressd]()) {
		if !regexp.MustCompile(`(?m)(^|[ {#])` + key + `:`).Match(block[1]) {
			t.Errorf("the configuration in docs/egressd.md does not show %s", key)
		}
	}
}

// yamlKeys lists the keys of a configuration's structs.
func yamlKeys(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" {
			keys = append(append(keys, name), yamlKeys(t.Field(i).Type)...)
		}
	}
	return keys
}
