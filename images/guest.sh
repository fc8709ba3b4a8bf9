#!/bin/bash
# Makes what virtual machines are started with: guest.sh DIR writes DIR/vmlinuz,
# DIR/vmlinux (the same kernel unpacked, which spares each machine the unpacking),
# DIR/modules and DIR/guestinit. Kernel and modules are Debian's, downloaded by
# the operator's own apt and not installed; init is bin/guestinit (`make build`).
set -euo pipefail

out=${1:?the directory to write}
repo=$(cd "$(dirname "$0")/.." && pwd)
cache=$repo/.cache/guest
# In the order in which they are loaded. ext4 is part of the kernel.
modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci
	failover net_failover virtio_net virtio_blk virtio_console overlay)

say() { echo "guest.sh: $*" >&2; }

die() {
	say "$*"
	exit 1
}

# number FILE OFFSET BYTES prints a little-endian number of a file.
number() { od -An -v -j "$2" -N "$3" -t "u$3" --endian=little "$1" | tr -d ' '; }

# unpack BZIMAGE VMLINUX unpacks a kernel that is packed with LZ4. The header
# says where the payload is (Documentation/arch/x86/boot.rst), whose last four
# bytes are the length of what comes out.
unpack() {
	local start length whole
	start=$((($(number "$1" 497 1) + 1) * 512 + $(number "$1" 584 4)))
	length=$(number "$1" 588 4)
	[[ $(number "$1" "$start" 4) == 407642370 ]] || { say "the kernel is not packed with LZ4; machines unpack it at each start"; return; }
	whole=$(number "$1" $((start + length - 4)) 4)
	lz4=$(command -v lz4) || lz4=$cache/lz4/usr/bin/lz4
	if [[ ! -x $lz4 ]]; then
		mkdir -p "$cache/lz4" && (cd "$cache/lz4" && apt-get download -q lz4 >/dev/null 2>&1 && dpkg -x lz4_*.deb . && rm lz4_*.deb) ||
			die "apt-get cannot download lz4: run 'apt-get update'"
	fi
	head -c $((start + length - 4)) "$1" | tail -c "+$((start + 1))" | "$lz4" -qdc >"$2"
	[[ $(stat -c %s "$2") == "$whole" ]] || die "the kernel unpacks to $(stat -c %s "$2") bytes instead of $whole"
	chmod 0644 "$2"
}

command -v apt-get >/dev/null || die "the kernel comes from Debian by apt-get, which is not here; put vmlinuz and modules/ of another kernel into $out"
[[ -x $repo/bin/guestinit ]] || die "bin/guestinit is missing: run 'make build' first"

meta=linux-image-cloud-$(dpkg --print-architecture)
package=$(apt-cache depends "$meta" | awk '/Depends:/ {print $2; exit}')
[[ -n $package ]] || die "apt knows no $meta: run 'apt-get update'"
if [[ ! -d $cache/$package ]]; then
	rm -rf "$cache" && mkdir -p "$cache/part"
	say "downloading $package"
	(cd "$cache" && apt-get download -q "$package" >/dev/null 2>&1) || die "apt-get cannot download $package: run 'apt-get update'"
	dpkg -x "$cache/$package"_*.deb "$cache/part"
	rm "$cache"/*.deb
	mv "$cache/part" "$cache/$package"
fi
rm -rf "$out" && mkdir -p "$out/modules"
cp "$cache/$package"/boot/vmlinuz-* "$out/vmlinuz"
unpack "$out/vmlinuz" "$out/vmlinux"
for name in "${modules[@]}"; do
	file=$(find "$cache/$package" -name "$name.ko*" -print -quit)
	case $file in
	*.ko) cp "$file" "$out/modules/$name.ko" ;;
	*.ko.xz) xz -dc "$file" >"$out/modules/$name.ko" ;;
	*) die "$package has no module $name" ;;
	esac
	echo "$name.ko" >>"$out/modules/order"
done
install -m 0755 "$repo/bin/guestinit" "$out/guestinit"
chmod 0644 "$out/vmlinuz"
say "$package and init are in $out"
