package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bottlesuite/bottle/internal/wire"
)

const usage = `%s: %s

Usage: %s [--config FILE] COMMAND

  serve                 run until SIGTERM; SIGHUP or a changed file reloads (default)
  check METHOD URL      say what would become of a request: exit 0 allow, 3 deny
  validate [FILE]       check a configuration file: exit 0 good, 2 bad
  status                print the running daemon's configuration hash and counters
  healthcheck           exit 0 when the running daemon is ready
  version               print the version
`

// Run interprets a command line. Nothing in it ends the process.
func Run[C any](ctx context.Context, s Spec[C], args, _ []string, stdio Stdio) error {
	words, config, err := s.parse(args, stdio.Err)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	command, rest := "serve", words
	if len(words) > 0 {
		command, rest = words[0], words[1:]
	}
	if n, ok := s.arguments(command); !ok {
		return badInput("%s: unknown command %q; run %s --help", s.Name, command, s.Name)
	} else if len(rest) < n[0] || len(rest) > n[1] {
		return badInput("%s %s: wrong number of arguments; run %s --help", s.Name, command, s.Name)
	}
	switch command {
	case "serve":
		return s.serve(ctx, config, stdio)
	case "check":
		return s.check(config, rest[0], rest[1], stdio.Out)
	case "validate":
		if len(rest) == 1 {
			config = rest[0]
		}
		_, err := s.load(config)
		return err
	case "status":
		return s.ask(ctx, http.MethodGet, config, "/status", stdio.Out)
	case "healthcheck":
		return s.ask(ctx, http.MethodGet, config, "/healthz", io.Discard)
	case "version":
		_, err := fmt.Fprintf(stdio.Out, "%s %s %s\n", s.Name, Version, runtime.Version())
		return err
	}
	return s.own(ctx, command, config, rest, stdio)
}

// arguments returns how many arguments a subcommand takes, at least and at most.
func (s Spec[C]) arguments(command string) (n [2]int, ok bool) {
	if own, ok := s.Commands[command]; ok {
		return [2]int{own.Min, own.Max}, true
	}
	n, ok = map[string][2]int{"serve": {0, 0}, "check": {2, 2}, "validate": {0, 1}, "status": {0, 0}, "healthcheck": {0, 0}, "version": {0, 0}}[command]
	return n, ok
}

// parse accepts flags before, between and after the words.
func (s Spec[C]) parse(args []string, errOut io.Writer) (words []string, config string, err error) {
	fs := flag.NewFlagSet(s.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&config, "config", "/etc/bottle/"+s.Name+".yaml", "configuration `FILE`")
	for {
		err := fs.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(errOut, usage, s.Name, s.Summary, s.Name)
			s.writeOwn(errOut, slices.Sorted(maps.Keys(s.Commands)))
			fmt.Fprintln(errOut)
			fs.SetOutput(errOut)
			fs.PrintDefaults()
			return nil, "", err
		}
		if err != nil {
			return nil, "", badInput("%s: %w; run %s --help", s.Name, err, s.Name)
		}
		if fs.NArg() == 0 {
			return words, config, nil
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
}

func (s Spec[C]) check(config, method, url string, out io.Writer) error {
	l, err := s.load(config)
	if err != nil {
		return err
	}
	d, err := s.Check(l.config, strings.ToUpper(method), url)
	if err != nil {
		return badInput("%s check: %w", s.Name, err)
	}
	if d.OK() {
		_, err := fmt.Fprintf(out, "allow  %s\n", d.Rule)
		return err
	}
	near := ""
	if d.Rule != "" {
		near = "; nearest rule: " + d.Rule
	}
	fmt.Fprintf(out, "deny  %s: %s%s\n", d.Reason, d.Detail, near)
	return &ExitError{Code: 3, Err: errDenied}
}

// adminAddress returns where the running daemon answers. The file may have gone
// bad since the daemon loaded it; then what can be read of it counts, or the
// address that every rendered configuration uses.
func (s Spec[C]) adminAddress(config string) string {
	if l, _ := s.load(config); l != nil {
		if admin := s.Basics(l.config).Admin; admin != "" {
			return admin
		}
	}
	return s.Admin
}

// ask queries the running daemon's admin listener.
func (s Spec[C]) ask(ctx context.Context, method, config, path string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.adminAddress(config)+path, nil)
	if err != nil {
		return badInput("%s: the admin address in %s: %w", s.Name, config, err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s is not running here, or not ready: %w", s.Name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not ready: %s", s.Name, resp.Status)
	}
	_, err = io.Copy(out, resp.Body)
	return err
}

// writeStatus prints the status that the admin listener serves.
func writeStatus(w io.Writer, st wire.Status) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(st)
}
