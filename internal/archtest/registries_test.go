package archtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// registries are hosts that packages or images come from, in pieces so that this
// file passes its own test.
var registries = [][]string{
	{"proxy", "golang", "org"}, {"sum", "golang", "org"}, {"goproxy", "io"}, {"goproxy", "cn"},
	{"registry", "npmjs", "org"}, {"registry", "npmjs", "com"}, {"registry", "yarnpkg", "com"},
	{"pypi", "org"}, {"pythonhosted", "org"},
	{"crates", "io"}, {"rubygems", "org"}, {"packagist", "org"}, {"nuget", "org"},
	{"repo", "maven", "apache", "org"}, {"repo1", "maven", "org"},
	{"deb", "debian", "org"}, {"ftp", "debian", "org"}, {"security", "debian", "org"}, {"archive", "ubuntu", "com"},
	{"dl-cdn", "alpinelinux", "org"}, {"deb", "nodesource", "com"},
	{"registry-1", "docker", "io"}, {"index", "docker", "io"}, {"hub", "docker", "com"},
	{"ghcr", "io"}, {"gcr", "io"}, {"quay", "io"},
}

// registriesNamed finds the registry hosts in a file, whatever their case.
func registriesNamed(f textFile) []string {
	var problems []string
	text := bytes.ToLower(f.data)
	for _, pieces := range registries {
		host := strings.Join(pieces, ".")
		if i := bytes.Index(text, []byte(host)); i >= 0 {
			line := bytes.Count(text[:i], []byte("\n")) + 1
			problems = append(problems, fmt.Sprintf("%s:%d: names the package registry %s: take it from the operator's configuration", f.path, line, host))
		}
	}
	return problems
}

func TestNoFileNamesARegistry(t *testing.T) {
	files, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		report(t, registriesNamed(f))
	}
}

func TestRegistryIsSeen(t *testing.T) {
	host := strings.ToUpper(strings.Join(registries[0], "."))
	expect(t, registriesNamed(textFile{"docs/a.md", []byte("one\nhttps://" + host + "/x\n")}), "docs/a.md:2: ")
	expect(t, registriesNamed(textFile{"docs/a.md", []byte("golang.org/x/net and docker.io the package\n")}), "")
}
