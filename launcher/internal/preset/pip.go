package preset

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// askPip asks pip for what it uses when nothing is configured: its index and
// the host of that index's files.
const askPip = "from pip._internal.models.index import PyPI; print(PyPI.simple_url, PyPI.file_storage_domain)"

// pipOptions are what is read, each with its variable; the first two are URLs.
var pipOptions = []struct{ key, variable string }{
	{"index-url", "PIP_INDEX_URL"}, {"extra-index-url", "PIP_EXTRA_INDEX_URL"}, {"trusted-host", "PIP_TRUSTED_HOST"},
}

func pip(ctx context.Context, m *Machine) (*Preset, error) {
	var c pipConfig
	for _, name := range pipFiles(m.Getenv) {
		data, err := m.optional(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read pip's configuration: %w", err)
		}
		c.read(name, string(data))
	}
	for _, o := range pipOptions {
		if v := m.Getenv(o.variable); v != "" {
			c.set(o.key, v, o.variable)
		}
	}
	if len(c["index-url"].words) > 0 {
		return c.preset()
	}
	for _, python := range []string{"python3", "python"} {
		out, err := m.Run(ctx, python, "-c", askPip)
		if words := strings.Fields(string(out)); err == nil && len(words) == 2 {
			c.set("index-url", words[0], "pip's own default")
			p, err := c.preset()
			if err != nil {
				return nil, err
			}
			s, _, err := parseSite("pip's own default", "https://"+words[1])
			p.Sites = append(p.Sites, s)
			return p, err
		}
	}
	return nil, errors.New("pip names no index here; set one with `pip config set global.index-url URL`")
}

// pipFiles are where pip reads its configuration, the strongest last. The
// site's own file, of one virtual environment, is none of the machine's.
func pipFiles(getenv func(string) string) []string {
	home, own := getenv("HOME"), getenv("PIP_CONFIG_FILE")
	if own == "/dev/null" { // pip's way to read none
		return nil
	}
	files := []string{"/etc/xdg/pip/pip.conf", "/Library/Application Support/pip/pip.conf", "/etc/pip.conf"}
	if home != "" {
		config := getenv("XDG_CONFIG_HOME")
		if config == "" {
			config = filepath.Join(home, ".config")
		}
		files = append(files, filepath.Join(home, ".pip/pip.conf"),
			filepath.Join(home, "Library/Application Support/pip/pip.conf"), filepath.Join(config, "pip/pip.conf"))
	}
	if own != "" {
		files = append(files, own)
	}
	return files
}

// pipConfig has the values of pip's options, split at blanks.
type pipConfig map[string]pipValue

type pipValue struct {
	words  []string
	source string
	// install says that it stands in a command's section, which is stronger
	// than [global] wherever that stands.
	install bool
}

func (c *pipConfig) set(key, value, source string) {
	if *c == nil {
		*c = pipConfig{}
	}
	(*c)[key] = pipValue{words: strings.Fields(value), source: source}
}

// read reads an INI file as Python does: sections, "key = value" or "key:
// value", and further lines of a value indented.
func (c *pipConfig) read(source, text string) {
	section, key, value := "", "", ""
	done := func() {
		key = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(key)), "_", "-")
		command := section == "install" || section == "download"
		if key != "" && (section == "global" || command) && (command || !(*c)[key].install) {
			c.set(key, value, source)
			v := (*c)[key]
			v.install = command
			(*c)[key] = v
		}
		key = ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		word := strings.TrimLeft(line, " \t")
		switch {
		case word == "" || word[0] == '#' || word[0] == ';':
		case len(word) < len(line) && key != "":
			value += " " + word
		case word[0] == '[':
			done()
			section = strings.Trim(word, "[]")
		default:
			done()
			if i := strings.IndexAny(word, "=:"); i > 0 {
				key, value = word[:i], word[i+1:]
			}
		}
	}
	done()
}

func (c pipConfig) preset() (*Preset, error) {
	p := &Preset{Env: map[string]string{"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}}
	for _, o := range pipOptions[:2] {
		var clean []string
		for _, raw := range c[o.key].words {
			s, u, err := parseSite(o.key+" of "+c[o.key].source, raw)
			if err != nil {
				return nil, err
			}
			s.Path = filesToo(s.Path)
			p.Sites = append(p.Sites, s)
			clean = append(clean, u.String())
		}
		if len(clean) > 0 {
			p.Env[o.variable] = strings.Join(clean, " ")
		}
	}
	var trusted []string
	for _, s := range p.Sites {
		if s.Plain && slices.ContainsFunc(c["trusted-host"].words, func(h string) bool { return h == s.Host || h == s.Name() }) {
			trusted = append(trusted, s.Name())
		}
	}
	if len(trusted) > 0 {
		p.Env["PIP_TRUSTED_HOST"] = strings.Join(trusted, " ")
	}
	return p, nil
}

// filesToo widens the path of an index to the folder that it shares with its
// files: /root/simple has them in /root/packages, or the like.
func filesToo(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 && strings.Contains(path[i:], "simple") {
		return path[:i]
	} else if i == 0 && strings.Contains(path, "simple") {
		return ""
	}
	return path
}
