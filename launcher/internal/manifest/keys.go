package manifest

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/bottlesuite/bottle/internal/wire"
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
	"extends":                                "write the parent's keys into this bottle",
	"egress.routes[].matches[].query_params": "",
	"skills":                                 "",
	"git_user":                               "set GIT_AUTHOR_NAME and its like in the bottle's env",
}

// refuseKeys looks for retired and unserved keys before the strict decoding,
// which would call them unknown.
func refuseKeys(file string, front []byte, firstLine int) error {
	var root yaml.Node
	if err := yaml.Load(front, &root); err != nil || root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return nil // the strict decoder has a better sentence for this
	}
	var refuse func(n *yaml.Node, path string) error
	refuse = func(n *yaml.Node, path string) error {
		switch n.Kind {
		case yaml.SequenceNode:
			for _, c := range n.Content {
				if err := refuse(c, path+"[]"); err != nil {
					return err
				}
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				key := n.Content[i]
				at := strings.TrimPrefix(path+"."+key.Value, ".")
				if msg := refusal(at, key.Value); msg != "" {
					return &wire.Error{File: file, Line: key.Line + firstLine - 1, Column: key.Column, Msg: msg}
				}
				if err := refuse(n.Content[i+1], at); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return refuse(root.Content[0], "")
}

// refusal is the sentence against the key at path, or "".
func refusal(path, key string) string {
	if recipe, ok := retired[path]; ok {
		return "the key " + key + " was retired; " + recipe
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
