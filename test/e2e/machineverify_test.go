package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestMachineVerify makes all attempts in a virtual machine, frames on its card among
// them.
func TestMachineVerify(t *testing.T) {
	w := needMachines(t)
	home := w.newHome(t)
	key := w.identity(t)
	if err := w.writeManifest(home, "verified", strings.ReplaceAll(verifiedBottle, "<key>", key)); err != nil {
		t.Fatal(err)
	}
	b := w.mustStart(t, home, "verified", "--backend", "smolmachines", "--discard")
	before := w.upstream.Mark()
	list, r := w.verdicts(t, home, b.id)
	held(t, list, r, 200)
	t.Logf("%d attempts, made %d times: %s", distinct(list), len(list), strings.TrimSpace(r.Stderr))
	const least = 30
	if n := distinct(slices.DeleteFunc(slices.Clone(list), func(v verdict) bool { return v.Group != "Beneath a virtual machine" })); n < least {
		t.Errorf("only %d attempts beneath the machine", n)
	}
	sawNothing(t, w.upstream, before)
	if out := b.exec(t, "root", "ls -a / | grep probe; true"); out.Stdout != "" {
		t.Errorf("the probe is still there: %s", out)
	}
	b.shell(t, "curl -sS --fail -o /dev/null "+w.url("api", "/v1/hello"))
}
