package manifest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Asked are the variables whose values are asked for at each launch.
func (b *Bottle) Asked() []EnvVar {
	var out []EnvVar
	for _, v := range b.Env {
		if v.Ask != "" {
			out = append(out, v)
		}
	}
	return out
}

// Unanswered is the error for a question that nobody can answer.
func (b *Bottle) Unanswered(v EnvVar) error {
	return b.errorf("env."+v.Name, "the value of %s is asked for (%s), and nobody can be asked here, because the input is not a terminal; export %s", v.Name, v.Ask, v.Name)
}

// CheckAnswer reports why value, given at a launch, cannot be that of v. The
// value is not in the error.
func (b *Bottle) CheckAnswer(v EnvVar, value string) error {
	var why string
	switch {
	case value == "":
		why = "is empty"
	case !utf8.ValidString(value):
		why = "is not text in UTF-8"
	case strings.ContainsFunc(value, unicode.IsControl):
		why = "holds a control character, such as a line end"
	case len(value) > maxAnswer:
		why = fmt.Sprintf("is longer than %d bytes", maxAnswer)
	default:
		return nil
	}
	return b.errorf("env."+v.Name, "what was given for %s %s; give one line of text", v.Name, why)
}

// maxAnswer bounds a line of the file through which the value goes.
const maxAnswer = 16 << 10
