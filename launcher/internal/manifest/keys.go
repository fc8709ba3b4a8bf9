package manifest

import (
	"fmt"
	"slices"
)

// retired are keys of earlier manifests, with what to write instead.
var retired = map[string]string{
	"cred_proxy":   "write each credential on its route: egress.routes: [{host: ..., auth: {scheme: Bearer, token_ref: NAME}}]",
	"egress_proxy": "write each allowed host as a route: egress.routes: [{host: ..., matches: [...]}]",
	"tokens":       "name the token on the route that uses it (auth: {scheme: Bearer, token_ref: NAME}) and export NAME before the start",
	"ssh":          "write each remote under git: [{name: ..., upstream: ssh://..., identity_file: ..., known_host_key: ..., refs: {allow: [...]}}]",
	"runtime":      "remove it: the launcher takes runsc by itself where the engine has it",
}

// unserved are keys that the design has and this build does not act on, with a
// hint where there is one. A pattern's [] stands for any element of a list.
var unserved = map[string]string{
	"egress.routes[].matches[].query_params": "",
}

// misplaced are keys that stand in the other kind of file.
var misplaced = map[string][]string{
	"bottle": {"bottle", "skills", "git_user"},
	"agent":  {"extends", "env", "egress", "pipelock", "git", "supervise", "resources", "agent_provider"},
}

// refusal is the sentence against the key at path, or "": it is asked before the
// strict decoding, which would call such keys unknown. Kind is bottle or agent.
func refusal(kind, path string) string {
	if slices.Contains(misplaced[kind], path) {
		other := map[string]string{"bottle": "the agent's file (agents/*.md)", "agent": "the bottle's file (bottles/*.md)"}[kind]
		return fmt.Sprintf("unknown key %q: it belongs into %s", path, other)
	}
	if recipe, ok := retired[path]; ok {
		return "the key " + path + " was retired; " + recipe
	}
	if hint, ok := unserved[path]; ok {
		msg := path + " is not served by this build yet; remove it"
		if hint != "" {
			msg += " (" + hint + ")"
		}
		return msg
	}
	return ""
}
