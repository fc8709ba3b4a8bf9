package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bottlesuite/bottle/internal/bottle"
)

// state is the state of the bottle that a word means: an identity, a name that was
// given with --name, the beginning of an identity, or an agent. Where several
// bottles fit, those that are up go first; where several of these do, the word is
// refused.
func (r *run) state(arg string) (bottle.State, error) {
	home, err := r.home()
	if err != nil {
		return bottle.State{}, err
	}
	id, notOne := bottle.ParseIdentity(arg)
	if s := home.State(id); notOne == nil && s.Exists() {
		return s, nil
	}
	ids, err := home.Identities()
	if err != nil {
		return bottle.State{}, err
	}
	fits := meant(home, ids, arg)
	switch {
	case len(fits) == 1:
		return home.State(fits[0]), nil
	case len(fits) > 1:
		return bottle.State{}, mendf("%q may be %s; write more of the one that you mean", arg, strings.Join(words(fits), ", "))
	case notOne != nil:
		return bottle.State{}, mend(notOne)
	}
	return home.State(id), mendf("there is no bottle %s; `launcher list` shows those that are there", id)
}

func words(ids []bottle.Identity) []string {
	var out []string
	for _, id := range ids {
		out = append(out, string(id))
	}
	return out
}

// meant are the bottles that a word may mean, by the first way in which it means
// any.
func meant(home bottle.Home, ids []bottle.Identity, arg string) []bottle.Identity {
	if bottle.CheckName(arg) != nil {
		return nil
	}
	meta := map[bottle.Identity]bottle.Metadata{}
	for _, id := range ids {
		if m, err := home.State(id).Current(); err == nil {
			meta[id] = m
		}
	}
	for _, way := range []func(bottle.Identity) bool{
		func(id bottle.Identity) bool { return meta[id].Name == arg },
		func(id bottle.Identity) bool { return id.Agent() == arg },
		func(id bottle.Identity) bool { return strings.HasPrefix(string(id), arg) },
	} {
		fits := slices.DeleteFunc(slices.Clone(ids), func(id bottle.Identity) bool { return !way(id) })
		up := slices.DeleteFunc(slices.Clone(fits), func(id bottle.Identity) bool { return !isUp(meta[id].State) })
		if len(up) > 0 {
			return up
		}
		if len(fits) > 0 {
			return fits
		}
	}
	return nil
}

func isUp(state string) bool {
	return state == bottle.StateStarting || state == bottle.StateRunning || state == bottle.StateDegraded
}

// freeName checks the name of a new launch: two bottles that are up never share
// one, and it is no identity's.
func (r *run) freeName(name string) error {
	if name == "" {
		return nil
	}
	if err := bottle.CheckName(name); err != nil {
		return mendf("--name: %w", err)
	}
	if _, err := bottle.ParseIdentity(name); err == nil {
		return mendf("--name: %q looks like an identity; give it another name", name)
	}
	home, err := r.home()
	if err != nil {
		return err
	}
	ids, err := home.Identities()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if m, err := home.State(id).Current(); err == nil && m.Name == name && isUp(m.State) {
			return mendf("--name: %s is called %q already", id, name)
		}
	}
	return nil
}

// hues are the colours by which bottles are told apart, as SGR parameters.
var hues = []string{"32", "33", "34", "35", "36", "92", "93", "94", "95", "96"}

// coloured writes a text in the colour of an identity, on a terminal that has some.
// The sequences around it have the same length for every identity, so that columns
// stay aligned.
func (r *run) coloured(id bottle.Identity, text string) string {
	if !r.colours() {
		return text
	}
	if id == "" {
		return "\x1b[01m" + text + "\x1b[0m" // a heading
	}
	var sum uint32
	for _, c := range []byte(id) {
		sum = sum*31 + uint32(c)
	}
	return fmt.Sprintf("\x1b[%sm%s\x1b[0m", hues[sum%uint32(len(hues))], text)
}
