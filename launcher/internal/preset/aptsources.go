package preset

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// aptSource is one entry of apt's sources, in either format (sources.list(5)).
type aptSource struct {
	file       string
	types      []string
	uris       []string
	suites     []string
	components []string
	// fields are the options that are kept, by their names in deb822.
	fields map[string]string
}

// aptOptions are the options that mean the same in a bottle, with their names in
// the one-line format. Their values are lists unless they are Signed-By.
var aptOptions = map[string]string{
	"arch": "Architectures", "lang": "Languages", "target": "Targets", "signed-by": "Signed-By",
	"trusted": "Trusted", "by-hash": "By-Hash", "pdiffs": "PDiffs",
	"check-valid-until": "Check-Valid-Until", "check-date": "Check-Date",
}

// optionField is the deb822 name of an option in either spelling, or "".
func optionField(name string) string {
	lower := strings.ToLower(name)
	if f, ok := aptOptions[lower]; ok {
		return f
	}
	for _, f := range aptOptions {
		if strings.EqualFold(f, name) {
			return f
		}
	}
	return ""
}

var oneLine = regexp.MustCompile(`^(deb|deb-src)\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)$`)

// readOneLine reads sources.list and *.list. Lines that apt would not
// understand are not for us to report: apt does.
func readOneLine(file, text string) []aptSource {
	var out []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := oneLine.FindStringSubmatch(strings.TrimSpace(line))
		if f == nil {
			continue
		}
		s := aptSource{
			file: file, types: []string{f[1]}, uris: []string{f[3]}, suites: []string{f[4]},
			components: strings.Fields(f[5]), fields: map[string]string{},
		}
		for option := range strings.FieldsSeq(f[2]) {
			name, value, _ := strings.Cut(option, "=")
			if field := optionField(name); field != "" {
				s.fields[field] = strings.ReplaceAll(value, ",", " ")
			}
		}
		out = append(out, s.binaries()...)
	}
	return out
}

// readDeb822 reads *.sources: stanzas of fields, whose further lines are
// indented.
func readDeb822(file, text string) []aptSource {
	var out []aptSource
	stanza, last := map[string]string{}, ""
	done := func() {
		if len(stanza) > 0 && !disabled(stanza["enabled"]) {
			out = append(out, fromStanza(file, stanza).binaries()...)
		}
		stanza, last = map[string]string{}, ""
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case line == "":
			done()
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				stanza[last] += "\n" + line
			}
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(name))
			stanza[last] = strings.TrimSpace(value)
		}
	}
	done()
	return out
}

// disabled reads "Enabled:", which apt takes for yes unless it says no.
func disabled(value string) bool {
	return slices.Contains([]string{"no", "false", "0", "off", "without", "disable"}, strings.ToLower(strings.TrimSpace(value)))
}

func fromStanza(file string, stanza map[string]string) aptSource {
	s := aptSource{
		file: file, types: strings.Fields(stanza["types"]), uris: strings.Fields(stanza["uris"]),
		suites: strings.Fields(stanza["suites"]), components: strings.Fields(stanza["components"]),
		fields: map[string]string{},
	}
	for name, value := range stanza {
		switch field := optionField(name); {
		case field == "Signed-By" && strings.Contains(value, "\n"):
			s.fields[field] = value // a key, written out
		case field != "":
			s.fields[field] = strings.Join(strings.Fields(value), " ")
		}
	}
	return s
}

// binaries returns the source without its deb-src, which no bottle needs; none
// if nothing is left.
func (s aptSource) binaries() []aptSource {
	if !slices.Contains(s.types, "deb") || len(s.uris) == 0 || len(s.suites) == 0 {
		return nil
	}
	s.types = []string{"deb"}
	return []aptSource{s}
}

// write adds the source as a stanza.
func (s aptSource) write(w *strings.Builder, signedBy string) {
	if w.Len() > 0 {
		w.WriteString("\n")
	}
	fmt.Fprintf(w, "Types: deb\nURIs: %s\nSuites: %s\n", strings.Join(s.uris, " "), strings.Join(s.suites, " "))
	if len(s.components) > 0 {
		fmt.Fprintf(w, "Components: %s\n", strings.Join(s.components, " "))
	}
	for _, field := range []string{"Architectures", "Languages", "Targets", "Trusted", "By-Hash", "PDiffs", "Check-Valid-Until", "Check-Date"} {
		if v := s.fields[field]; v != "" {
			fmt.Fprintf(w, "%s: %s\n", field, v)
		}
	}
	switch {
	case strings.HasPrefix(signedBy, "\n"):
		fmt.Fprintf(w, "Signed-By:%s\n", signedBy)
	case signedBy != "":
		fmt.Fprintf(w, "Signed-By: %s\n", signedBy)
	}
}
