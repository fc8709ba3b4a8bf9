package archtest

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the package lists in testdata/packages")

// buildTags are those of official builds; they take code out of the binaries.
const buildTags = "urfave_cli_no_docs"

// linkedPackages asks what an official build of a command links, apart from the
// standard library and our own packages, on linux/amd64 whatever runs the test.
func linkedPackages(t *testing.T, command string) []string {
	t.Helper()
	// The go command reads these for us; reading them here as well tells
	// `go test` to run the test again when they change.
	for _, name := range []string{"go.mod", "go.sum"} {
		if _, err := os.ReadFile(filepath.Join(root, command, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	list := exec.Command("go", "list", "-deps", "-tags", buildTags, "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
	list.Dir = filepath.Join(root, command)
	list.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list in %s: %v\n%s", command, err, stderr.Bytes())
	}
	packages := slices.DeleteFunc(strings.Fields(string(out)), func(p string) bool { return within(p, modulePath+"/") })
	slices.Sort(packages)
	return packages
}

func TestBinariesLinkWhatIsListed(t *testing.T) {
	for _, command := range commands(t) {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			golden := filepath.Join("testdata", "packages", command+".txt")
			linked := linkedPackages(t, command)
			report(t, linkedOutOfRoom(command, linked))
			if *update {
				if err := os.WriteFile(golden, []byte(strings.Join(linked, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			data, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v: run 'go test ./internal/archtest -update' and review the list", err)
			}
			listed := strings.Fields(string(data))
			for _, p := range linked {
				if !slices.Contains(listed, p) {
					t.Errorf("%s now links %s: if that is meant, run 'go test ./internal/archtest -update'", command, p)
				}
			}
			for _, p := range listed {
				if !slices.Contains(linked, p) {
					t.Errorf("%s no longer links %s: run 'go test ./internal/archtest -update'", command, p)
				}
			}
		})
	}
}

// linkedOutOfRoom finds libraries that reach a binary which libraryRooms does not
// give them, through whatever chain of imports.
func linkedOutOfRoom(command string, linked []string) []string {
	var problems []string
	for _, p := range linked {
		if rooms := roomOf(p); rooms != nil && !slices.Contains(rooms, command) {
			problems = append(problems, command+" links "+p+", which belongs to "+strings.Join(rooms, " and ")+" only")
		}
	}
	return problems
}

func TestPackageListsBelongToACommand(t *testing.T) {
	lists, err := filepath.Glob("testdata/packages/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		if command := strings.TrimSuffix(filepath.Base(list), ".txt"); !slices.Contains(commands(t), command) {
			t.Errorf("%s: there is no command %s: remove the list", list, command)
		}
	}
}

func TestLibraryOutOfItsRoomIsSeen(t *testing.T) {
	linked := []string{"golang.org/x/net/idna", "github.com/compose-spec/compose-go/v2/types"}
	expect(t, linkedOutOfRoom("launcher", linked), "")
	expect(t, linkedOutOfRoom("egressd", linked), "egressd links github.com/compose-spec/compose-go/v2/types")
}
