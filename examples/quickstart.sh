#!/usr/bin/env bash
# The main job on a real image, on loopback: make keys, sign, multicast, verify, install, compare.
#
#   ./examples/quickstart.sh [IMAGE]
#
# Without IMAGE it takes the kernel of a Debian package, fetched but not installed. The receiver joins in the middle of the loop and
# loses every tenth packet. Everything is kept in a temporary folder and removed at the end.
set -euo pipefail
[ $# = 0 ] || image=$(realpath "$1")
cd "$(dirname "$0")/.."
. .ci/setup.sh
need_rust

work=$(mktemp -d)
sender=
trap '[ -z "$sender" ] || kill "$sender" 2>/dev/null || true; rm -rf "$work"' EXIT

if [ $# = 0 ]; then
  need dpkg-deb:dpkg
  cd "$work"
  meta=linux-image-cloud-$(dpkg --print-architecture)
  apt-cache show "$meta" >/dev/null 2>&1 || as_root apt-get update -qq
  kernel=$({ apt-cache depends "$meta" 2>/dev/null || true; } | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
  [ -n "$kernel" ] || die "the package $meta is not available here; give an image: $0 IMAGE"
  apt-get download -qq -o APT::Sandbox::User=root "$kernel"
  dpkg-deb -x ./*.deb package
  image=$(ls "$work"/package/boot/vmlinuz-*)
  cd - >/dev/null
fi

echo "== build"
cargo build --locked --release --quiet -p fleetcast-sign -p fleetcast-send -p fleetcast-recv
PATH="${CARGO_TARGET_DIR:-$PWD/target}/release:$PATH"

echo "== sign $image"
fleetcast-sign keygen --out "$work/release.pem" --pub "$work/release.pub.pem"
fleetcast-sign create --key "$work/release.pem" --vendor acme.example --class board-a --version 1.0 --sequence 1 \
  --image kernel="$image" --out "$work/kernel.fleetcast"
fleetcast-sign verify "$work/kernel.fleetcast" --trust "$work/release.pub.pem" --image kernel="$image"

echo "== multicast on loopback"
fleetcast-send run "$work/kernel.fleetcast" --image kernel="$image" \
  --group 239.255.70.67:4701 --interface lo --rate 40M --start 0.3 --json >"$work/send.log" &
sender=$!

echo "== receive, verify, install (10 % of the packets are thrown away on purpose)"
mkdir "$work/device"
fleetcast-recv receive --trust "$work/release.pub.pem" --vendor acme.example --class board-a \
  --target kernel="$work/device/vmlinuz" --group 239.255.70.67:4701 --interface lo --state "$work/state" \
  --simulate-loss 10 --once --timeout 120s

echo "== compare"
cmp "$image" "$work/device/vmlinuz"
sha256sum "$image" "$work/device/vmlinuz"
echo "done: the device has the release, bit for bit"
