package bundle

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/bottlesuite/bottle/internal/wire"
	"github.com/bottlesuite/bottle/launcher/internal/smolfile"
)

// golden holds data against a file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is not what is rendered (-update after a look): %v\n%s", file, err, got)
	}
}

func TestSmolfileGolden(t *testing.T) {
	s := machine(t)
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.MachineFiles("machine", files, map[string]string{"PATH": "/bin"})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, f := range got {
		found[f.Path] = f.Data
		if f.Sidecar || f.Mode&0o444 != 0o444 && f.Mode&0o111 == 0 {
			t.Errorf("%s is not for the machine to read", f.Path)
		}
	}
	golden(t, "Smolfile.golden", found["machine/Smolfile"])
	golden(t, "guest.golden.json", found["machine/share/guest.json"])
	f, err := smolfile.Parse("Smolfile", found["machine/Smolfile"])
	if err != nil || f.Confined() != nil {
		t.Errorf("%v, %v", err, f.Confined())
	}
	var g wire.Guest
	if err := json.Unmarshal(found["machine/share/guest.json"], &g); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := s.Write(dir, got); err != nil {
		t.Fatal(err)
	}
	for _, m := range g.Mounts {
		if _, err := os.Stat(filepath.Join(dir, "machine", GuestFiles, m.Source)); err != nil && m.Source != "skills" && m.Source != "clients" {
			t.Error(err)
		}
	}
	for path := range found {
		if filepath.Base(path) == "key.pem" || filepath.Base(path) == "relay.key" {
			t.Errorf("%s is shown to the machine", path)
		}
	}
}

// The second boundary is as narrow as the bottle is.
func TestSmolfileOfNoRoutes(t *testing.T) {
	s := spec(t, "pipelock: {allow: [a.example]}")
	s.Machine = true
	f, err := s.Smolfile()
	if err != nil || len(f.Network.AllowCIDRs) != 1 || f.Network.AllowCIDRs[0] != "10.213.1.2/32" {
		t.Errorf("%+v, %v", f.Network, err)
	}
}
