package preset

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// agentRelease is the Debian that agents' images are made of (images/base.sh).
const agentRelease = "bookworm"

// apt reads /etc/apt as apt does, and gives the agent's apt the same sources
// with the keys that vouch for them.
func apt(ctx context.Context, m *Machine) (*Preset, error) {
	var sources []aptSource
	for _, pattern := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources"} {
		files, err := m.Glob(pattern)
		if err != nil {
			return nil, err
		}
		slices.Sort(files)
		for _, file := range files {
			data, err := m.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("cannot read apt's sources: %w", err)
			}
			read := readOneLine
			if strings.HasSuffix(pattern, ".sources") {
				read = readDeb822
			}
			sources = append(sources, read(file, string(data))...)
		}
	}
	p := &Preset{Env: map[string]string{"APT_CONFIG": Dir + "/apt/apt.conf"}, Files: map[string][]byte{}}
	keys := aptKeys{m: m, p: p, places: map[string]string{}}
	var list strings.Builder
	for _, s := range sources {
		if err := p.addSource(s, &keys, &list); err != nil {
			return nil, err
		}
	}
	if len(p.Sites) == 0 {
		return nil, errors.New("apt has no source over http or https on this machine; write the mirror's host as egress.routes")
	}
	p.Files["apt/sources.d/bottle.sources"] = []byte(list.String())
	p.compareRelease(m)
	return p, p.aptConf(ctx, m, &keys)
}

// addSource takes what of a source can be reached over HTTP.
func (p *Preset) addSource(s aptSource, keys *aptKeys, list *strings.Builder) error {
	var clean []string
	for _, raw := range s.uris {
		scheme, _, _ := strings.Cut(raw, ":")
		if scheme != "http" && scheme != "https" {
			p.note("a source of %s was left out: apt reaches it by %q, which a bottle does not", s.file, scheme)
			continue
		}
		site, u, err := parseSite(s.file, raw)
		if err != nil {
			return err
		}
		p.Sites = append(p.Sites, site)
		clean = append(clean, u.String())
	}
	if len(clean) == 0 {
		return nil
	}
	signedBy, err := keys.place(s)
	if err != nil {
		return err
	}
	s.uris = clean
	s.write(list, signedBy)
	return nil
}

// compareRelease warns when the sources are for another system than the agent's.
func (p *Preset) compareRelease(m *Machine) {
	data, err := m.ReadFile("/etc/os-release")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok && strings.Trim(v, `"'`) != agentRelease {
			p.note("the sources are those of %s, and agents are Debian %s: their packages may not fit", strings.Trim(v, `"'`), agentRelease)
		}
	}
}

// aptConf writes the configuration that leads apt to the files of the preset.
// Whether old indexes are taken is for the operator's own apt to say.
func (p *Preset) aptConf(ctx context.Context, m *Machine, keys *aptKeys) error {
	conf := `Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "` + Dir + `/apt/sources.d";
APT::Sandbox::User "root"; # the guest may become nobody else
`
	if keys.trusted {
		conf += `Dir::Etc::TrustedParts "` + Dir + `/apt/trusted.d";` + "\n"
	}
	out, err := m.Run(ctx, "apt-config", "dump")
	if err != nil && !errors.Is(err, ErrNoClient) {
		return err
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		switch name, value, _ := strings.Cut(line, " "); name {
		case "Acquire::Check-Valid-Until", "Acquire::Check-Date":
			conf += line + "\n"
		case "Acquire::http::Proxy", "Acquire::https::Proxy":
			if strings.Trim(value, `";`) != "" {
				p.note("apt goes through a proxy here (%s), and a bottle goes straight to the sources", name)
			}
		}
	}
	p.Files["apt/apt.conf"] = []byte(conf)
	return nil
}

// aptKeys copies keyrings, which are public, into the files of the preset.
type aptKeys struct {
	m       *Machine
	p       *Preset
	places  map[string]string
	trusted bool
}

// place returns the Signed-By of a source as the agent finds it: a copied
// keyring, or fingerprints and blocks as they are. A source without one is
// vouched for by the keys that apt trusts for all.
func (k *aptKeys) place(s aptSource) (string, error) {
	by := s.fields["Signed-By"]
	if by == "" {
		return "", k.trustAll()
	}
	if !strings.HasPrefix(by, "/") {
		if !strings.Contains(by, "BEGIN PGP") { // fingerprints, which choose among all
			return by, k.trustAll()
		}
		return by, nil
	}
	if at, ok := k.places[by]; ok {
		return at, nil
	}
	data, err := k.m.ReadFile(by)
	if err != nil {
		return "", fmt.Errorf("cannot read the keyring that %s names: %w", s.file, err)
	}
	file := fmt.Sprintf("apt/keys/%d%s", len(k.places), keyringExt(by))
	k.p.Files[file] = data
	k.places[by] = Dir + "/" + file
	return k.places[by], nil
}

// keyringExt is the extension by which apt tells the two forms of a keyring.
func keyringExt(file string) string {
	if path.Ext(file) == ".asc" {
		return ".asc"
	}
	return ".gpg"
}

func (k *aptKeys) trustAll() error {
	if k.trusted {
		return nil
	}
	k.trusted = true
	n := 0
	for _, pattern := range []string{"/etc/apt/trusted.gpg.d/*.gpg", "/etc/apt/trusted.gpg.d/*.asc", "/etc/apt/trusted.gpg"} {
		files, err := k.m.Glob(pattern)
		if err != nil {
			return err
		}
		for _, file := range files {
			data, err := k.m.ReadFile(file)
			if err != nil {
				return fmt.Errorf("cannot read a keyring of apt: %w", err)
			}
			k.p.Files[fmt.Sprintf("apt/trusted.d/%d%s", n, keyringExt(file))] = data
			n++
		}
	}
	return nil
}
