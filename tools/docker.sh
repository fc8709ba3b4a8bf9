#!/bin/sh
# Makes a Docker engine and the Compose plugin available on a Debian machine:
# what `make docker` runs. What is there already is left as it is, so running
# this twice costs nothing. Installing anything needs root.
set -eu

compose_minimum=2.20
plugin_dir=/usr/local/lib/docker/cli-plugins
engine_log=/var/log/dockerd.log
engine_wait=60 # seconds
tools=$(cd "$(dirname "$0")" && pwd)

say() { echo "docker.sh: $*" >&2; }

die() {
	say "$*"
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "$1, and installing it needs root: run 'sudo make docker', or $2"
}

engine_answers() {
	command -v docker >/dev/null && docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

install_engine() {
	command -v apt-get >/dev/null ||
		die "there is no Docker engine and no apt-get to install one with: install Docker by hand, then run this again"
	say "installing the Docker engine from this machine's Debian mirror"
	packages="docker.io iptables ca-certificates"
	apt-get update -q || say "apt-get update failed in part; going on with the lists at hand"
	# Debian 13 moved the client into a package of its own.
	if apt-cache show docker-cli >/dev/null 2>&1; then packages="$packages docker-cli"; fi
	# shellcheck disable=SC2086 # a list of words on purpose
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages
}

start_engine() {
	if [ -d /run/systemd/system ]; then
		systemctl enable --now docker
		return
	fi
	# A package's own start script, or another shell, may be starting it now.
	if pidof dockerd >/dev/null; then return; fi
	# dockerd refuses to start over the pid file of an engine that was killed, and
	# waits in vain for a containerd whose pid file names a dead process that
	# nobody has reaped.
	rm -f /var/run/docker.pid
	if ! pidof containerd >/dev/null; then rm -f /var/run/docker/containerd/containerd.pid; fi
	setsid nohup dockerd >"$engine_log" 2>&1 </dev/null &
	say "started dockerd, pid $!, log $engine_log"
}

wait_for_engine() {
	waited=0
	until engine_answers; do
		[ "$waited" -lt "$engine_wait" ] ||
			die "the Docker engine does not answer after $engine_wait seconds: see $engine_log or 'journalctl -u docker', and 'docker version'"
		sleep 1
		waited=$((waited + 1))
	done
}

# The plugin's version without its leading v; empty when there is no plugin, or
# one that does not know its own version.
compose_version() {
	docker compose version --short 2>/dev/null | sed -n 's/^v\{0,1\}\([0-9]\)/\1/p'
}

compose_is_recent() {
	found=$(compose_version)
	[ -n "$found" ] && [ "$(printf '%s\n%s\n' "$compose_minimum" "$found" | sort -V | head -n 1)" = "$compose_minimum" ]
}

build_compose() {
	command -v go >/dev/null ||
		die "Go is needed to build the Compose plugin and is not in PATH: install Go $(sed -n 's/^go //p' "$tools/go.mod") or newer, or install Docker Compose $compose_minimum or newer by hand"
	module=github.com/docker/compose/v5
	binary=$tools/../.cache/docker-compose
	(
		cd "$tools"
		version=$(GOWORK=off go list -m -f '{{.Version}}' $module)
		say "building the Compose plugin $version (a minute or two the first time)"
		CGO_ENABLED=0 GOWORK=off go build -ldflags "-s -w -X $module/internal.Version=$version" -o "$binary" $module/cmd
	)
	mkdir -p $plugin_dir
	install -m 0755 "$binary" $plugin_dir/docker-compose
}

if ! engine_answers; then
	need_root "no Docker engine answers" "see why with 'docker version' (a user outside the group docker may not reach the engine)"
	if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then install_engine; fi
	start_engine
	wait_for_engine
fi

if ! compose_is_recent; then
	need_root "the Compose plugin is missing or older than $compose_minimum" "install Docker Compose $compose_minimum or newer by hand"
	build_compose
	compose_is_recent || die "the Compose plugin in $plugin_dir does not answer 'docker compose version': does another one come first, in ~/.docker/cli-plugins?"
fi

say "Docker engine $(docker version --format '{{.Server.Version}}'), Compose $(compose_version)"
