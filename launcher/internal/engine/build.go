package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// baseRepository has the names that images get while something is built on them.
const baseRepository = "bottle/agent-base"

// Build makes an image from the text of a Dockerfile, which names the image that it
// goes on from by its id, base. There is no context: what is built sees no file of
// the host. Network is "none", or a network of the engine's.
//
// The client has two builders, by whether its buildx plugin is there. BuildKit takes
// an id for the name of an image to be pulled, and knows no networks but its own
// three, so the base gets a name for as long as the build takes, and another network
// wants the older builder.
func (e *Engine) Build(ctx context.Context, tag, network, base, dockerfile string) error {
	if e.path == "" {
		return errNoClient
	}
	name, unname, err := e.nameBase(ctx, base)
	if err != nil {
		return err
	}
	defer unname()
	network, older := buildNetwork(network)
	var out bytes.Buffer
	cmd := e.command(ctx, "build", "--network", network, "--force-rm", "--tag", tag, "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(strings.ReplaceAll(dockerfile, base, name)), &out, &out
	if older {
		cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=0")
	}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("the image was not built: %s", lastLine(out.String()))
	}
	return nil
}

// buildNetwork is a network in the words that both builders know, and whether it
// takes the older one.
func buildNetwork(network string) (name string, older bool) {
	switch network {
	case "none", "host", "default":
		return network, false
	case "bridge":
		return "default", false
	}
	return network, true
}

// nameBase gives an image a name and returns what takes it away again. An image that
// has no name of another's keeps it, always the same one: the engine would delete it
// with its last name, and a resume could not build on it once more.
func (e *Engine) nameBase(ctx context.Context, id string) (name string, unname func(), err error) {
	var image struct{ RepoTags []string }
	if err := e.call(ctx, "GET", "/images/"+id+"/json", nil, nil, &image); err != nil {
		return "", nil, fmt.Errorf("cannot look at the image %s to build on it: %w", id, err)
	}
	tag, unname := strings.TrimPrefix(id, "sha256:"), func() {}
	if slices.ContainsFunc(image.RepoTags, func(t string) bool { return !strings.HasPrefix(t, baseRepository+":") }) {
		tag = strings.ToLower(rand.Text()) // of this build alone: it may not end with another one
		unname = func() { e.RemoveImage(context.WithoutCancel(ctx), baseRepository+":"+tag) }
	}
	err = e.call(ctx, "POST", "/images/"+id+"/tag", url.Values{"repo": {baseRepository}, "tag": {tag}}, nil, nil)
	if err != nil {
		return "", nil, fmt.Errorf("cannot name the image %s to build on it: %w", id, err)
	}
	return baseRepository + ":" + tag, unname, nil
}

// RemoveImage deletes an image by its reference, if there is one.
func (e *Engine) RemoveImage(ctx context.Context, ref string) {
	_ = e.call(ctx, "DELETE", "/images/"+ref, nil, nil, nil)
}
