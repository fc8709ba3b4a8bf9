package preset

import (
	"strings"
	"testing"
)

func TestApt(t *testing.T) {
	f := fake{
		out: map[string]string{"apt-config dump": "Acquire::Check-Valid-Until \"false\";\nAcquire::http::Proxy \"\";\nDir::Etc \"etc/apt\";\n"},
		files: map[string]string{
			"/etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n",
			"/etc/apt/sources.list": "# deb http://no.example/debian bookworm main\ndeb http://deb.example/debian bookworm main contrib # as ever\n" +
				"deb-src http://src.example/debian bookworm main\ndeb [ arch=amd64,arm64 signed-by=/usr/share/keyrings/x.gpg ] https://u:p@x.example/apt stable main\n",
			"/etc/apt/sources.list.d/cd.list":        "deb cdrom:[Debian]/ bookworm main\n",
			"/etc/apt/sources.list.d/y.sources.off":  "Types: deb\nURIs: https://off.example\nSuites: s\n",
			"/etc/apt/sources.list.d/debian.sources": "# c\nTypes: deb deb-src\nURIs: https://deb.example/debian\n https://two.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/x.gpg\n\n\nEnabled: no\nTypes: deb\nURIs: https://disabled.example\nSuites: s\n",
			"/etc/apt/sources.list.d/inline.sources": "types: deb\nuris: https://inline.example/\nsuites: ./\nsigned-by:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\nX-Repolib-Name: x\n",
			"/usr/share/keyrings/x.gpg":              "ring x",
			"/etc/apt/trusted.gpg.d/debian.asc":      "ring d",
		},
	}
	p, err := Resolve(t.Context(), "apt", f.machine())
	if err != nil {
		t.Fatal(err)
	}
	const want = `site deb.example:80/debian plain
site x.example/apt credential
site deb.example/debian
site two.example/debian
site inline.example
APT_CONFIG=/etc/bottle/clients/apt/apt.conf
-- apt/apt.conf
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "/etc/bottle/clients/apt/sources.d";
APT::Sandbox::User "root"; # the guest may become nobody else
Dir::Etc::TrustedParts "/etc/bottle/clients/apt/trusted.d";
Acquire::Check-Valid-Until "false";
-- apt/keys/0.gpg
ring x
-- apt/sources.d/bottle.sources
Types: deb
URIs: http://deb.example/debian
Suites: bookworm
Components: main contrib

Types: deb
URIs: https://x.example/apt
Suites: stable
Components: main
Architectures: amd64 arm64
Signed-By: /etc/bottle/clients/apt/keys/0.gpg

Types: deb
URIs: https://deb.example/debian https://two.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /etc/bottle/clients/apt/keys/0.gpg

Types: deb
URIs: https://inline.example/
Suites: ./
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
-- apt/trusted.d/0.asc
ring d
note: a source of /etc/apt/sources.list.d/cd.list was left out: apt reaches it by "cdrom", which a bottle does not
`
	if got := told(p); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAptNotes(t *testing.T) {
	f := fake{
		out: map[string]string{"apt-config dump": "Acquire::http::Proxy \"http://u:secret@proxy.example\";\n"},
		files: map[string]string{
			"/etc/os-release":       "VERSION_CODENAME=\"noble\"\n",
			"/etc/apt/sources.list": "deb mirror+file:/etc/apt/mirrors noble main\ndeb http://a.example noble main\n",
		},
	}
	p, err := Resolve(t.Context(), "apt", f.machine())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(p.Notes, "\n")
	for _, want := range []string{`apt reaches it by "mirror+file"`, "the sources are those of noble", "apt goes through a proxy here (Acquire::http::Proxy)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing from\n%s", want, got)
		}
	}
	if strings.Contains(told(p), "secret") {
		t.Error("the proxy's password is told")
	}
}
