#!/bin/bash
# Gets the base that every image with a Debian in it is built on, tagged
# bottle/base:bookworm. A base that is there already is kept; to get a fresh
# one, run `docker rmi bottle/base:bookworm` first.
#
# The public image is asked for first. Where no registry can be reached, the
# base is bootstrapped from the Debian mirror that this machine's own apt is
# configured with, and slimmed in the way the public slim image is.
set -euo pipefail

tag=bottle/base:bookworm
suite=bookworm
pull_seconds=60
repo=$(cd "$(dirname "$0")/.." && pwd)
root=$repo/.cache/base-rootfs

say() { echo "base.sh: $*" >&2; }

die() {
	say "$*"
	exit 1
}

pull() {
	timeout "$pull_seconds" docker pull --quiet "debian:$suite-slim" >&2 &&
		docker tag "debian:$suite-slim" "$tag"
}

# The repository that apt gets one of Debian's labels from (Debian,
# Debian-Security). An address that holds a user name is left out: it would
# stay in the image.
mirror_of() {
	# shellcheck disable=SC2016 # apt-get expands these, not the shell
	apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)' |
		awk -F'|' -v label="$1" '$1 == "Packages" && $2 == "Debian" && $3 == label && $4 == "main" && $5 !~ /@/ { print $5; exit }'
}

# debootstrap reads a proxy from the environment only; apt may have its own.
use_apt_proxy() {
	local http='' https=''
	eval "$(apt-config shell http Acquire::http::Proxy https Acquire::https::Proxy)"
	if [[ $http == http* ]]; then export http_proxy=${http_proxy:-$http}; fi
	if [[ $https == http* ]]; then export https_proxy=${https_proxy:-$https}; fi
}

need_debootstrap() {
	if command -v debootstrap >/dev/null; then return; fi
	[[ $(id -u) == 0 ]] || die "debootstrap is missing: install it with 'sudo apt-get install debootstrap'"
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends debootstrap >&2
}

bootstrap() {
	local mirror security
	command -v apt-get >/dev/null ||
		die "no registry can be reached and this is not a Debian machine: load an image of Debian $suite and tag it $tag"
	mirror=$(mirror_of Debian)
	security=$(mirror_of Debian-Security)
	[[ -n $mirror ]] ||
		die "apt on this machine has no Debian mirror: add one to /etc/apt/sources.list.d and run 'apt-get update', or load an image of Debian $suite and tag it $tag"
	[[ $(id -u) == 0 ]] ||
		die "bootstrapping the base image needs root: run 'sudo images/base.sh', or load an image of Debian $suite and tag it $tag"
	need_debootstrap
	use_apt_proxy

	rm -rf "$root"
	mkdir -p "$root"
	trap 'rm -rf "$root"' EXIT
	say "bootstrapping Debian $suite (a minute or two)"
	debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 ||
		die "debootstrap failed; the end of $root.log says why: $(tail -n 1 "$root.log")"
	{
		echo "deb $mirror $suite main"
		echo "deb $mirror $suite-updates main"
		if [[ -n $security ]]; then echo "deb $security $suite-security main"; fi
	} >"$root/etc/apt/sources.list"
	slim
	tar -C "$root" --numeric-owner -c . |
		docker import --change 'CMD ["bash"]' - "$tag" >&2
}

# slim drops what a container never reads, now and in later installations.
slim() {
	cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<-'EOF'
		path-exclude /usr/share/doc/*
		path-include /usr/share/doc/*/copyright
		path-exclude /usr/share/groff/*
		path-exclude /usr/share/info/*
		path-exclude /usr/share/linda/*
		path-exclude /usr/share/lintian/*
		path-exclude /usr/share/locale/*
		path-exclude /usr/share/man/*
	EOF
	cat >"$root/etc/apt/apt.conf.d/docker" <<-'EOF'
		Acquire::Languages "none";
		Acquire::GzipIndexes "true";
		Apt::AutoRemove::SuggestsImportant "false";
		Dir::Cache::pkgcache "";
		Dir::Cache::srcpkgcache "";
		APT::Keep-Downloaded-Packages "false";
		DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
	EOF
	find "$root/usr/share/doc" -mindepth 2 ! -type d ! -name copyright -delete
	find "$root/usr/share/doc" -type d -empty -delete
	rm -rf "$root"/usr/share/{groff,info,linda,lintian,locale,man}/* \
		"$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old \
		"$root"/var/lib/dpkg/*-old "$root"/var/log/* "$root"/tmp/*
	mkdir -p "$root/var/lib/apt/lists/partial" "$root/var/cache/apt/archives/partial"
	# Of the machine this was made on, nothing stays.
	rm -f "$root/etc/resolv.conf" "$root/etc/hostname" "$root/etc/machine-id"
	: >"$root/etc/machine-id"
	# No program that the daemon policy would start at installation.
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 0755 "$root/usr/sbin/policy-rc.d"
}

if docker image inspect "$tag" >/dev/null 2>&1; then exit 0; fi
if ! pull; then
	say "debian:$suite-slim cannot be pulled here"
	bootstrap
fi
say "made $tag, $(docker image inspect --format '{{.Size}}' "$tag") bytes"
