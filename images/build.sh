#!/bin/bash
# Builds the images named as arguments, or every folder here that holds a
# Dockerfile, and tags each bottle/NAME:dev and bottle/NAME:$VERSION.
#
# An image named like a command gets that command's binary from bin/ (`make
# build` makes it); one that is built on bottle/base gets the operator's trust
# and apt settings for the time of the build; one with a package-lock.json gets
# the packages in it, downloaded by the operator's own npm. Each build sees
# a folder under .cache/images and never the repository.
set -euo pipefail

images=$(cd "$(dirname "$0")" && pwd)
repo=$(dirname "$images")
version=${VERSION:-dev}

say() { echo "build.sh: $*" >&2; }

die() {
	say "$*"
	exit 1
}

# stage_binary CONTEXT NAME
stage_binary() {
	local binary=$repo/bin/$2
	[[ -x $binary ]] || die "$binary is missing: run 'make build' first"
	cp "$binary" "$1/$2"
}

# The bundle that programs on this machine trust, by the usual order.
operator_bundle() {
	local file
	for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
		if [[ -s $file ]]; then
			echo "$file"
			return
		fi
	done
	die "this machine has no CA bundle: install ca-certificates, or point SSL_CERT_FILE at one"
}

# stage_operator CONTEXT: what apt in the build needs to download as this
# machine does. It is copied into the build stage only. Proxies named in the
# environment travel as build arguments, which no layer records.
stage_operator() {
	local bundle
	bundle=$(operator_bundle)
	mkdir "$1/operator"
	install -m 0644 "$bundle" "$1/operator/ca-certificates.crt"
	{
		echo 'Acquire::https::CAInfo "/tmp/operator/ca-certificates.crt";'
		if command -v apt-config >/dev/null; then
			apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy) ' || true
		fi
	} >"$1/operator/apt.conf"
	chmod 0644 "$1/operator/apt.conf"
}

# stage_npm CONTEXT NAME: the packages that the image's lock file names, for the
# engine's platform. Registry, trust, proxy and credentials are those of this
# machine's npm and stay with it; what comes is checked against the lock file's
# digests, and no script of it runs here.
stage_npm() {
	local cpu
	command -v npm >/dev/null || die "npm is missing, which downloads what $2 holds: install it with 'apt-get install npm'"
	cpu=$(docker version --format '{{.Server.Arch}}')
	mkdir "$1/npm"
	cp "$images/$2/package.json" "$images/$2/package-lock.json" "$1/npm/"
	(cd "$1/npm" && npm ci --ignore-scripts --no-audit --no-fund --os=linux --cpu="${cpu/amd64/x64}" --libc=glibc) >"$1.log" 2>&1 || {
		tail -n 30 "$1.log" >&2
		die "npm could not download what bottle/$2 holds: the lines above end $1.log"
	}
}

declare -A built

build() {
	local name=$1 context=$repo/.cache/images/$1
	if [[ -n ${built[$name]:-} ]]; then return; fi
	built[$name]=1
	[[ -f $images/$name/Dockerfile ]] || die "there is no $images/$name/Dockerfile: the images are $(names | xargs)"
	rm -rf "$context"
	mkdir -p "$context"
	cp "$images/$name/Dockerfile" "$context/"
	if [[ -f $repo/$name/go.mod || -f $repo/launcher/$name/main.go ]]; then stage_binary "$context" "$name"; fi
	if grep -q '^FROM bottle/base' "$images/$name/Dockerfile"; then
		"$images/base.sh"
		stage_operator "$context"
	elif grep -q '^FROM bottle/agent-shell' "$images/$name/Dockerfile"; then
		build agent-shell
	fi
	if [[ -f $images/$name/package-lock.json ]]; then stage_npm "$context" "$name"; fi
	docker build --network=host \
		--build-arg VERSION="$version" \
		--build-arg http_proxy --build-arg https_proxy --build-arg no_proxy \
		--tag "bottle/$name:dev" --tag "bottle/$name:$version" "$context" >"$context.log" 2>&1 || {
		tail -n 30 "$context.log" >&2
		die "bottle/$name was not built: the lines above end $context.log"
	}
	say "bottle/$name:dev ($version), $(docker image inspect --format '{{.Size}}' "bottle/$name:dev") bytes"
}

names() {
	local file
	for file in "$images"/*/Dockerfile; do basename "$(dirname "$file")"; done
}

if [[ $# == 0 ]]; then mapfile -t wanted < <(names); else wanted=("$@"); fi
for name in "${wanted[@]}"; do build "$name"; done
