package workspace

import (
	"path"
	"slices"
	"strings"
)

// Risk says why a path should not reach the host unseen, "" when it may: it would
// be run there without anybody calling it, or would steer a tool or an agent that
// is. It judges names only, as every file system might read them: without case,
// without characters that take no room, without dots and spaces at the end.
func Risk(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = fold(parts[i])
	}
	if i := slices.Index(parts, ".git"); i >= 0 {
		return gitRisk(parts[i+1:])
	}
	for i, p := range parts {
		if why, ok := anywhere[p]; ok {
			return why
		}
		if i < len(parts)-1 {
			if why, ok := directories[p]; ok {
				return why
			}
		}
	}
	base, folded := parts[len(parts)-1], strings.Join(parts, "/")
	for _, x := range patterns {
		if ok, _ := path.Match(x.pattern, base); ok {
			return x.why
		}
	}
	for _, x := range places {
		if strings.Contains("/"+folded, "/"+x.pattern) {
			return x.why
		}
	}
	return ""
}

const (
	hook    = "a hook that git or another tool runs by itself"
	editor  = "settings or tasks that an editor runs when it opens the folder"
	agent   = "settings or instructions of coding agents"
	shell   = "settings that a shell or a tool reads when it enters the folder"
	ci      = "a workflow that a build server runs with its own secrets"
	fetcher = "settings of a package client: where code comes from, and what runs at its installation"
)

// anywhere are names of files and directories with a meaning of their own.
var anywhere = map[string]string{
	".gitmodules": hook, ".gitconfig": hook, ".husky": hook, ".githooks": hook, ".overcommit.yml": hook,
	".vscode": editor, ".idea": editor, ".fleet": editor, ".zed": editor, ".devcontainer": editor, ".devcontainer.json": editor,
	".exrc": editor, ".vimrc": editor, ".nvimrc": editor, ".nvim.lua": editor, ".vim": editor, ".dir-locals.el": editor, ".editorrc": editor, ".vs": editor,
	".claude": agent, ".mcp.json": agent, "mcp.json": agent, "claude.md": agent, "claude.local.md": agent, "agents.md": agent, "agents.override.md": agent,
	"gemini.md": agent, ".gemini": agent, ".codex": agent, ".cursor": agent, ".cursorrules": agent, ".windsurf": agent, ".windsurfrules": agent,
	".clinerules": agent, ".continue": agent, ".roo": agent, ".opencode": agent, "opencode.json": agent, ".bottle": agent, ".agents": agent,
	".envrc": shell, ".env": shell, ".bashrc": shell, ".profile": shell, ".zshrc": shell, ".tool-versions": shell, "mise.toml": shell, ".mise.toml": shell, ".direnv": shell, ".bazelrc": shell, ".mvn": shell, ".inputrc": shell, ".gdbinit": shell, ".lldbinit": shell, ".netrc": shell, ".ssh": shell, ".docker": shell,
	".gitlab-ci.yml": ci, ".circleci": ci, "jenkinsfile": ci, ".travis.yml": ci, ".drone.yml": ci, "azure-pipelines.yml": ci, ".buildkite": ci, ".woodpecker": ci, ".woodpecker.yml": ci, ".forgejo": ci, ".gitea": ci,
	".npmrc": fetcher, ".yarnrc": fetcher, ".yarnrc.yml": fetcher, ".pnpmfile.cjs": fetcher, ".pypirc": fetcher, "pip.conf": fetcher, "pip.ini": fetcher, ".condarc": fetcher, "bunfig.toml": fetcher,
}

// directories are names that have a meaning as directories only.
var directories = map[string]string{".cargo": fetcher, ".yarn": fetcher}

type rule struct{ pattern, why string }

// patterns are shapes of a file's name.
var patterns = []rule{
	{"*.code-workspace", editor}, {"*.sublime-project", editor}, {".vimrc.*", editor},
	{".lefthook*", hook}, {"lefthook*.y*ml", hook}, {".pre-commit-config.y*ml", hook}, {"lefthook*.json", hook}, {"lefthook*.toml", hook},
	{".aider*", agent}, {".env.*", shell}, {".mise.*.toml", shell}, {"mise.*.toml", shell},
}

// places are paths within a repository.
var places = []rule{
	{".github/workflows/", ci}, {".github/actions/", ci}, {".github/copilot-instructions.md", agent}, {".github/instructions/", agent},
	{".config/mise", shell}, {"gradle/wrapper/", fetcher},
}

// gitData is what a repository is made of: objects and names for them. The rest
// of .git says what git runs and where it looks.
var gitData = []string{"objects", "refs", "logs"}

var gitFiles = []string{"head", "orig_head", "fetch_head", "merge_head", "cherry_pick_head", "revert_head", "packed-refs", "index", "shallow", "description", "commit_editmsg", "merge_msg", "auto_merge"}

func gitRisk(below []string) string {
	switch {
	case len(below) == 0:
		return "" // the directory; a file of that name is judged by its kind
	case slices.Contains(gitData, below[0]):
		if len(below) > 2 && below[0] == "objects" && below[1] == "info" && below[2] != "packs" && below[2] != "commit-graph" && below[2] != "commit-graphs" {
			return "a way for git to objects elsewhere on the host"
		}
		return ""
	case len(below) == 1 && slices.Contains(gitFiles, below[0]):
		return ""
	}
	return "a part of .git that says what git runs, and where"
}

// fold writes one name in the way in which a file system that does not mind case,
// zero-width characters and trailing dots would read it.
func fold(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, name)
	if name, _, _ = strings.Cut(name, ":"); name == "" { // a stream of NTFS
		return ":"
	}
	name = strings.ToLower(strings.TrimRight(name, ". "))
	name = strings.NewReplacer("ı", "i", "ſ", "s", "\u212a", "k").Replace(name)
	if name == "git~1" {
		return ".git"
	}
	return name
}
