package secret

import "strings"

// PlaceholderPrefix begins every text that stands in an agent's environment
// where a token would. What it stands for is not secret: egressd puts the token
// in its place, in the one field of the one route that the token belongs to.
const PlaceholderPrefix = "bottle-placeholder-"

// Placeholder is what the agent sees instead of the token ref: a text that tells
// a reader what it is.
func Placeholder(ref string) string { return PlaceholderPrefix + ref }

// PlaceholderRef returns the name of the token that text, as a whole, stands for.
func PlaceholderRef(text string) (ref string, ok bool) {
	return strings.CutPrefix(text, PlaceholderPrefix)
}
