package preset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// goVariables are what the go command is asked for. GOINSECURE is not among
// them: what is not verified here is not fetched there.
var goVariables = []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE"}

func golang(ctx context.Context, m *Machine) (*Preset, error) {
	out, err := m.Run(ctx, "go", append([]string{"env", "-json"}, goVariables...)...)
	if err != nil {
		return nil, fmt.Errorf("go cannot be asked for its proxy: %w", err)
	}
	return readGo(out)
}

// readGo reads the output of `go env -json`.
func readGo(config []byte) (*Preset, error) {
	var env map[string]string
	if err := json.Unmarshal(config, &env); err != nil {
		return nil, errors.New("`go env -json` printed something else than JSON")
	}
	p := &Preset{Env: map[string]string{}}
	if err := p.readGOPROXY(env["GOPROXY"]); err != nil {
		return nil, err
	}
	if err := p.readGOSUMDB(env["GOSUMDB"]); err != nil {
		return nil, err
	}
	for _, name := range []string{"GONOSUMDB", "GONOPROXY", "GOPRIVATE"} {
		if env[name] == "" {
			continue
		}
		p.Env[name] = env[name]
		if name != "GONOSUMDB" {
			p.note("modules of %s (%s) come from their own hosts, which need routes", name, env[name])
		}
	}
	return p, nil
}

// readGOPROXY reads a list of proxies. A comma goes on to the next one when a
// module is not found, a bar after any error.
func (p *Preset) readGOPROXY(list string) error {
	kept, separator := "", ""
	for list != "" {
		entry, next := list, ""
		if i := strings.IndexAny(list, ",|"); i >= 0 {
			entry, next, list = list[:i], list[i:i+1], list[i+1:]
		} else {
			list = ""
		}
		entry = strings.TrimSpace(entry)
		switch entry {
		case "":
			continue
		case "direct":
			p.note("direct, in GOPROXY, was left out: a module that no proxy has would come from its own host, which needs a route")
			continue
		case "off":
			list = "" // as for the go command, nothing after it counts
			continue
		}
		s, u, err := parseSite("GOPROXY", entry)
		if err != nil {
			return err
		}
		p.Sites = append(p.Sites, s)
		if kept != "" {
			kept += separator
		}
		kept, separator = kept+u.String(), next
	}
	if kept == "" {
		return errors.New("GOPROXY names no proxy here, and a bottle reaches modules through one only; set it with `go env -w GOPROXY=URL`")
	}
	p.Env["GOPROXY"] = kept
	return nil
}

// readGOSUMDB reads "name[+key] [url]" or "off".
func (p *Preset) readGOSUMDB(value string) error {
	fields := strings.Fields(value)
	if len(fields) == 0 || len(fields) == 1 && fields[0] == "off" {
		p.Env["GOSUMDB"] = "off"
		p.note("GOSUMDB is off here, so the bottle does not verify checksums either")
		return nil
	}
	if len(fields) > 2 {
		return errors.New("GOSUMDB is not of the form \"name+key url\"; correct it with `go env -w GOSUMDB=...`")
	}
	name, _, _ := strings.Cut(fields[0], "+")
	address := "https://" + name
	if len(fields) == 2 {
		address = fields[1]
	}
	s, u, err := parseSite("GOSUMDB", address)
	if err != nil {
		return err
	}
	p.Sites = append(p.Sites, s)
	if len(fields) == 2 {
		fields[1] = u.String()
	}
	p.Env["GOSUMDB"] = strings.Join(fields, " ")
	return nil
}
