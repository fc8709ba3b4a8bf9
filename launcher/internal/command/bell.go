package command

import (
	"context"
	"os/exec"
	"time"

	"github.com/bottlesuite/bottle/internal/bottle"
	"github.com/bottlesuite/bottle/launcher/internal/decide"
)

// hookVariable names a command of the operator's that is run for each new
// proposal: a desktop notification, a message, a sound. It is given the identity,
// the id and the tool as arguments and nothing that the agent wrote.
const hookVariable = "BOTTLE_ON_PROPOSAL"

// hookTime bounds one run of the hook.
const hookTime = 10 * time.Second

// bell tells the operator of new proposals.
type bell struct {
	run   *run
	state bottle.State
	known map[string]bool
}

func (r *run) newBell(s bottle.State) *bell {
	return &bell{run: r, state: s, known: map[string]bool{}}
}

// look rings for each proposal that was not there at the last look.
func (b *bell) look(ctx context.Context) {
	pending, err := decide.Box(b.state).Pending(time.Now())
	if err != nil {
		return
	}
	for _, p := range pending {
		if b.known[p.ID] {
			continue
		}
		b.known[p.ID] = true
		if hook := b.run.getenv(hookVariable); hook != "" {
			b.hook(ctx, hook, p.ID, p.Tool)
		} else {
			b.run.note("\a%s asks for something: `launcher proposals show %s`\r", b.state.Identity, p.ID)
		}
	}
}

func (b *bell) hook(ctx context.Context, hook, id, tool string) {
	ctx, cancel := context.WithTimeout(ctx, hookTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", hook+` "$@"`, "sh", string(b.state.Identity), id, tool)
	for _, name := range []string{"PATH", "HOME", "USER", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"} {
		if v := b.run.getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		b.run.note("launcher: the command in %s failed: %v", hookVariable, err)
	}
}
