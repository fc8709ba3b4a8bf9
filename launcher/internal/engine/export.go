package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ImageEnv is the environment that an image gives its commands.
func (e *Engine) ImageEnv(ctx context.Context, ref string) (map[string]string, error) {
	out, err := e.output(ctx, "image", "inspect", "--format", "{{json .Config.Env}}", ref)
	if err != nil {
		return nil, err
	}
	var list []string
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("the environment of the image %s is not readable: %w", ref, err)
	}
	env := map[string]string{}
	for _, kv := range list {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	return env, nil
}

// Save writes an image to w, as `docker load` reads it.
func (e *Engine) Save(ctx context.Context, ref string, w io.Writer) error {
	if e.path == "" {
		return errNoClient
	}
	var complaint bytes.Buffer
	cmd := e.command(ctx, "image", "save", ref)
	cmd.Stdout, cmd.Stderr = w, &complaint
	if err := cmd.Run(); err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("docker image save: %s: %w", lastLine(complaint.String()), err))
	}
	return nil
}

// Export writes the files of an image to w, as an archive. The container that the
// engine needs for it never runs; it has the labels, so that cleanup would find
// it.
func (e *Engine) Export(ctx context.Context, ref string, labels map[string]string, w io.Writer) error {
	args := []string{"create", "--network", "none"}
	for k, v := range labels {
		args = append(args, "--label", k+"="+v)
	}
	out, err := e.output(ctx, append(args, ref)...)
	if err != nil {
		return err
	}
	id := strings.TrimSpace(string(out))
	defer func() { _, _ = e.output(context.WithoutCancel(ctx), "rm", "-f", id) }()
	var complaint bytes.Buffer
	cmd := e.command(ctx, "export", id)
	cmd.Stdout, cmd.Stderr = w, &complaint
	if err := cmd.Run(); err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("docker export: %s: %w", lastLine(complaint.String()), err))
	}
	return nil
}
