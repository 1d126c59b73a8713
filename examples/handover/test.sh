#!/usr/bin/env bash
# Hands real bundles to real RAUC and SWUpdate through the programs beside this file, as fleetcast-recv does.
#
#   examples/handover/test.sh [--end-to-end]
#
# --end-to-end builds the Fleetcast programs too, multicasts the bundles on loopback, and lets fleetcast-recv hand them over.
#
# Needs root. The slots are loop devices; mounts, processes and network are the test's own and end with it. Two things are
# stand-ins: the boot script of U-Boot, which is a function here that works on a real environment through fw_printenv and
# fw_setenv, and power cuts, which kill everything but do not lose what was written and not flushed.
set -euo pipefail
here=$(realpath "$(dirname "$0")")

# Bundles that RAUC takes as `plain` need no device mapper; devices should use `verity`: RAUC_FORMAT=verity.
format=${RAUC_FORMAT:-plain}
pass() { printf '   ok: %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# ---- outside: packages, programs, a folder, and whatever has to be removed

outside() {
  local end_to_end=
  case $#:${1-} in 0:) ;; 1:--end-to-end) end_to_end=1 ;; *) fail "usage: $0 [--end-to-end]" ;; esac
  cd "$here/../.."
  # shellcheck source=SCRIPTDIR/../../.ci/setup.sh
  . .ci/setup.sh
  [ "$(id -u)" = 0 ] || die "needs root, for loop devices and mounts"
  need rauc:rauc swupdate-client:swupdate dbus-daemon:dbus-daemon mksquashfs:squashfs-tools fw_setenv:libubootenv-tool \
    cpio:cpio openssl:openssl losetup:mount unshare:util-linux ip:iproute2 setsid:util-linux
  can_make_namespaces || die "namespaces cannot be made here"
  if [ -n "$end_to_end" ]; then
    need_rust
    cargo build --locked --release --quiet -p fleetcast-sign -p fleetcast-send -p fleetcast-recv
    PATH="${CARGO_TARGET_DIR:-$PWD/target}/release:$PATH"
  fi

  work=$(mktemp -d)
  inside=
  trap remove EXIT
  trap 'exit 130' INT TERM
  unshare --mount --net --pid --fork --kill-child --mount-proc "$here/test.sh" --inside "$work" "$end_to_end" &
  inside=$!
  wait "$inside"
}

remove() {
  local slot
  # All processes inside end with the first one.
  [ -z "$inside" ] || { kill -9 "$inside" 2>/dev/null && wait "$inside" 2>/dev/null; } || true
  for slot in "$work"/*/slot-?; do
    [ ! -e "$slot" ] || losetup --noheadings --output NAME --associated "$slot" | xargs --no-run-if-empty losetup --detach
  done
  rm -rf "$work"
}

# ---- inside: what both programs share

# The slots a and b, a bootloader environment of their own, and bundles of two releases and of a stranger.
set_up() {
  dir=$work/$kind
  mkdir -p "$dir/tmp" "$dir/handed"
  local name
  truncate -s 40M "$dir/slot-a" "$dir/slot-b"
  device_a=$(losetup --find --show "$dir/slot-a")
  device_b=$(losetup --find --show "$dir/slot-b")
  truncate -s 16K "$dir/environment-0" "$dir/environment-1"
  printf '%s 0x0 0x4000\n' "$dir/environment-0" "$dir/environment-1" >/etc/fw_env.config
  "${kind}_configure"
  for name in 1 2 3; do
    head -c 32M /dev/urandom >"$work/image-$name"
    "${kind}_bundle" "$dir/$name" "$work/image-$name" release
  done
  "${kind}_bundle" "$dir/stranger" "$work/image-2" stranger
  program=("${prefix[@]}" "$here/$kind" --state "$dir/handed")
}

# release NUMBER: the release that handover is about from here on.
release() {
  bundle=$dir/$1
  manifest=$(printf '%064x' "$1")
}

# handover ARGUMENT...: exactly what fleetcast-recv gives to the program.
handover() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin FLEETCAST_VERSION=1.0 FLEETCAST_SEQUENCE=1 FLEETCAST_SECURITY_VERSION=1 \
    FLEETCAST_MANIFEST="$manifest" "${program[@]}" "$@"
}

# gives CODE ARGUMENT...: handover ends with that exit code.
gives() {
  local code=0 wanted=$1
  shift
  handover "$@" >"$work/out" 2>&1 || code=$?
  [ "$code" = "$wanted" ] || { cat "$work/out" >&2; fail "$kind: ${*:-no argument} ended with $code, not $wanted"; }
}
gives_install() { gives "$1" install bundle="$bundle"; }

status_is() {
  local status
  status=$(handover status 2>"$work/out") || { cat "$work/out" >&2; fail "$kind: status failed"; }
  [ "$status" = "$1" ] || { cat "$work/out" >&2; fail "$kind: status is $status, not $1"; }
}

other() { if [ "$running" = a ]; then echo b; else echo a; fi; }
runs() { [ "$running" = "$1" ] || fail "$kind: slot $running runs, not $1"; }

# holds SLOT NUMBER: the device of the slot has that image, bit for bit.
holds() {
  local device=device_$1
  cmp --bytes="$(stat -c %s "$work/image-$2")" "$work/image-$2" "${!device}" || fail "$kind: slot $1 does not hold release $2"
}

# What nothing refused may change.
all_of_it() { sha256sum "$dir/slot-a" "$dir/slot-b"; fw_printenv | sort; }
remember() { remembered=$(all_of_it); }
unchanged() { [ "$(all_of_it)" = "$remembered" ] || fail "$kind: a slot or the bootloader's environment has changed"; }
slot_unchanged() { [ "$(grep "slot-$1\$" <<<"$remembered")" = "$(sha256sum "$dir/slot-$1")" ] || fail "$kind: slot $1 was written"; }

# power_on [SLOT]: the bootloader chooses a slot, again if it is SLOT, which does not come up; then the update service starts.
power_on() {
  cat /proc/sys/kernel/random/uuid >"$work/boot_id"
  "${kind}_boot" "${1-}"
  "${kind}_service"
}
power_off() {
  kill -9 -- "-$service"
  wait "$service" 2>/dev/null || true
  "${kind}_off"
}
reboot() {
  power_off
  power_on "${1-}"
}

# until_true COMMAND...: waits for it, for ten seconds at most.
until_true() {
  local left=200
  until sh -c '"$@" || exit 1' sh "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "$kind: waited in vain for: $*"
    sleep 0.05
  done
}

# ---- inside: RAUC

rauc_configure() {
  prefix=()
  printf 'BOOT_ORDER=A B\nBOOT_A_LEFT=3\nBOOT_B_LEFT=3\n' >"$dir/environment"
  fw_setenv -f "$dir/environment" -s "$dir/environment" 2>/dev/null
  mkdir -p /etc/rauc /run/dbus
  cat >/etc/rauc/system.conf <<END
[system]
compatible=acme-board-a
bootloader=uboot
mountprefix=/run/rauc
statusfile=$dir/status
bundle-formats=$format
[keyring]
path=$work/release.pem
[handlers]
pre-install=$work/hold.sh
[slot.rootfs.0]
device=$device_a
type=raw
bootname=A
[slot.rootfs.1]
device=$device_b
type=raw
bootname=B
END
  cat >"$dir/bus.conf" <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
END
  dbus-daemon --config-file="$dir/bus.conf" --nofork >"$dir/bus.log" 2>&1 &
  until_true test -S /run/dbus/system_bus_socket
}

# rauc_bundle FILE IMAGE SIGNER [COMPATIBLE]
rauc_bundle() {
  rm -rf "$dir/content"
  mkdir "$dir/content"
  ln "$2" "$dir/content/rootfs.img"
  printf '[update]\ncompatible=%s\nversion=1\n[bundle]\nformat=%s\n[image.rootfs]\nfilename=rootfs.img\n' \
    "${4:-acme-board-a}" "$format" >"$dir/content/manifest.raucm"
  rauc bundle --mksquashfs-args='-comp gzip -Xcompression-level 1' --cert="$work/$3.pem" --key="$work/$3.key" \
    "$dir/content" "$1" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "no bundle"; }
}

# The boot script that RAUC's manual gives for U-Boot: the first slot in order that has attempts left, less one.
rauc_boot() {
  local name left slot
  while :; do
    for name in $(fw_printenv -n BOOT_ORDER); do
      left=$(fw_printenv -n "BOOT_${name}_LEFT")
      [ "${left:-0}" -gt 0 ] || continue
      fw_setenv "BOOT_${name}_LEFT" "$((left - 1))"
      slot=$(tr AB ab <<<"$name")
      [ "$slot" = "$1" ] && continue 2
      running=$slot
      return
    done
    fail "rauc: no slot can start"
  done
}
rauc_service() {
  setsid rauc service --override-boot-slot="$(tr ab AB <<<"$running")" >>"$dir/service.log" 2>&1 &
  service=$!
  until_true rauc status
}
rauc_off() { ! mountpoint -q /run/rauc/bundle || umount /run/rauc/bundle; }
rauc_client() { command -v rauc; }

# ---- inside: SWUpdate

swupdate_configure() {
  # The daemon's sockets are in its TMPDIR.
  prefix=(/usr/bin/env TMPDIR="$dir/tmp")
  printf 'slot=a\nustate=0\n' >"$dir/environment"
  fw_setenv -f "$dir/environment" -s "$dir/environment" 2>/dev/null
  echo 'acme-board-a 1.0' >/etc/hwrevision
}

# swupdate_bundle FILE IMAGE SIGNER [REVISION]
swupdate_bundle() {
  local sha256
  sha256=$(sha256sum "$2" | cut -d ' ' -f 1)
  rm -rf "$dir/content"
  mkdir "$dir/content"
  ln "$2" "$dir/content/rootfs.img"
  cat >"$dir/content/sw-description" <<END
software = {
  version = "1";
  hardware-compatibility = [ "${4:-1.0}" ];
  stable = {
    a: { images: ( { filename = "rootfs.img"; type = "raw"; device = "$device_a"; sha256 = "$sha256"; } ); };
    b: { images: ( { filename = "rootfs.img"; type = "raw"; device = "$device_b"; sha256 = "$sha256"; } ); };
  };
}
END
  (
    cd "$dir/content"
    openssl cms -sign -in sw-description -out sw-description.sig -signer "$work/$3.pem" -inkey "$work/$3.key" \
      -outform DER -nosmimecap -binary
    printf '%s\n' sw-description sw-description.sig rootfs.img | cpio --quiet -o -H crc >"$1"
  )
}

# The boot script of README.md.
swupdate_boot() {
  local state
  while :; do
    running=$(fw_printenv -n slot)
    state=$(fw_printenv -n ustate)
    case $state in
      1 | 2)
        running=$(other)
        printf 'slot=%s\nustate=%s\n' "$running" "$((state + 1))" >"$dir/environment"
        fw_setenv -s "$dir/environment"
        ;;
    esac
    [ "$running" = "$1" ] || return 0
  done
}
swupdate_service() {
  TMPDIR="$dir/tmp" setsid swupdate -B uboot -k "$work/release.pem" -q stable,a -q stable,b -P "$work/hold.sh" \
    >>"$dir/service.log" 2>&1 &
  service=$!
  until_true test -S "$dir/tmp/sockinstctrl" -a -S "$dir/tmp/swupdateprog"
}
swupdate_off() { rm -rf "$dir/tmp"; mkdir "$dir/tmp"; }
swupdate_client() { command -v swupdate-client; }

# ---- inside: the tests

installs_commits_and_falls_back() {
  release 1
  remember
  gives_install 0
  holds b 1
  slot_unchanged a
  status_is pending
  gives 1 commit
  pass "install: the other slot holds the image, bit for bit"

  release 3
  gives_install 0
  holds b 3
  slot_unchanged a
  release 2
  gives 1 status
  release 1
  gives_install 0
  holds b 1
  remember
  release 2
  bundle=$dir/stranger
  gives_install 1
  unchanged
  release 1
  status_is pending
  pass "a release that waits for the restart: replaced by another one, not by one that is refused"

  remember
  gives_install 0
  grep -q 'already installed' "$work/out" || fail "$kind: installed twice"
  unchanged
  reboot
  runs b
  status_is new
  gives_install 0
  unchanged_slots
  if [ "$kind" = swupdate ]; then
    release 2
    gives_install 75
    unchanged_slots
    release 1
  fi
  pass "install again, before and after the restart: nothing written"

  gives 0 commit
  gives 0 commit
  reboot
  runs b
  status_is new
  pass "commit: it stays"

  release 2
  gives_install 0
  holds a 2
  reboot a
  runs b
  status_is old
  gives 1 commit
  gives 0 rollback
  reboot
  runs b
  status_is old
  pass "a release that does not come up: old"

  gives_install 0
  holds a 2
  status_is pending
  gives 0 rollback
  status_is old
  reboot
  runs b
  pass "rollback before the restart: it never starts"

  gives_install 0
  reboot
  runs a
  status_is new
  gives 0 rollback
  reboot
  runs b
  status_is old
  holds b 1
  pass "rollback after the restart: the release before it runs"
}

unchanged_slots() { slot_unchanged a; slot_unchanged b; }

refuses() {
  release 2
  remember
  bundle=$dir/stranger
  gives_install 1
  unchanged
  pass "bundle signed by another key: refused, nothing written"

  "${kind}_bundle" "$dir/elsewhere" "$work/image-2" release another-board
  bundle=$dir/elsewhere
  gives_install 1
  unchanged
  pass "bundle for other hardware: refused, nothing written"

  head -c 16M "$dir/2" >"$dir/cut"
  bundle=$dir/cut
  gives_install 1
  slot_unchanged "$running"
  truncate -s 48M "$work/image-large"
  "${kind}_bundle" "$dir/large" "$work/image-large" release
  bundle=$dir/large
  gives_install 1
  slot_unchanged "$running"
  rm "$dir/cut" "$dir/large"
  power_off
  power_on
  runs b
  pass "half a bundle, an image too large for the slot: failed, and the slot that runs is as it was"

  bundle=$dir/2
  gives 64
  gives 64 install
  gives 64 install rootfs="$bundle"
  gives 64 install bundle=relative
  gives 64 install bundle="$dir/missing"
  gives 64 install bundle="$bundle" kernel="$bundle"
  gives 64 status now
  gives 64 reboot
  gives 64 --state relative status
  manifest='' gives 64 install bundle="$bundle"
  pass "arguments outside the contract: refused"
}

asks_for_later() {
  release 3
  touch "$work/hold"
  gives_install 0 &
  local first=$!
  until_true test -e "$work/held"
  remember
  gives_install 75
  unchanged_slots
  rm "$work/hold" "$work/held"
  wait "$first"
  status_is pending
  pass "busy with an installation: 75"

  power_off
  remember
  release 1
  gives_install 75
  unchanged
  power_on
  release 3
  status_is new
  gives 0 commit
  pass "the service does not run: 75"
}

# Power fails when the update program has done its work and the handover program has not noted it.
survives_a_cut_before_its_note() {
  local client before=$running
  client=$("${kind}_client")
  cp "$client" "$dir/client"
  cat >"$dir/wrapper" <<END
#!/bin/sh
'$dir/client' "\$@"
code=\$?
case \$1 in status) ;; *) kill -9 0 ;; esac
exit \$code
END
  chmod +x "$dir/wrapper"
  mount --bind "$dir/wrapper" "$client"
  setsid --wait env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin FLEETCAST_MANIFEST="$manifest" "${program[@]}" install bundle="$bundle" \
    >"$work/out" 2>&1 &
  wait "$!" 2>/dev/null || true
  umount "$client"
  grep -q . "$dir/handed/attempt" || fail "$kind: the program was not cut off"
  remember
  reboot
  [ "$running" != "$before" ] || fail "$kind: the release has not started"
  gives_install 0
  unchanged_slots
  status_is new
  gives 0 commit
  pass "power cut before the handover was noted: installed once, the slot to fall back to untouched"
}

# survives_cut MOMENT: power fails then, while a release replaces one that waits for the restart. Whichever slot starts is whole,
# and the same call brings the release. MOMENT is in seconds, or before_writing. $from is the release that runs.
survives_cut() {
  local before=$running number=$(((from + 1) % 3 + 1)) caller
  release "$((from % 3 + 1))"
  gives_install 0
  release "$number"
  [ "$1" != before_writing ] || touch "$work/hold"
  setsid env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin FLEETCAST_MANIFEST="$manifest" "${program[@]}" install bundle="$bundle" \
    >"$work/out" 2>&1 &
  caller=$!
  if [ "$1" = before_writing ]; then until_true test -e "$work/held"; else sleep "$1"; fi
  kill -9 -- "-$caller" 2>/dev/null || true
  wait "$caller" 2>/dev/null || true
  power_off
  rm -f "$work/hold" "$work/held"
  power_on
  if [ "$running" = "$before" ]; then
    holds "$before" "$from"
    kept=old
  elif (holds "$running" "$number") >/dev/null 2>&1; then
    kept=new
  else
    # It came before anything was written. For RAUC the release that ran goes; SWUpdate's has to be committed first.
    kept=waiting
    from=$((from % 3 + 1))
    holds "$running" "$from"
    if [ "$kind" = swupdate ]; then
      gives_install 75
      fw_setenv ustate 0
    fi
    before=$running
  fi
  gives_install 0
  [ $kept = new ] || { status_is pending; reboot; }
  [ "$running" != "$before" ] || fail "$kind: the release has not started"
  holds "$running" "$number"
  holds "$before" "$from"
  status_is new
  gives 0 commit
  from=$number
  pass "power cut (${1/_/ }): the $kept release starts, then the one that was cut off is installed"
}

# Later and later, until the installation is through.
survives_cuts() {
  local ms=20 kept=
  survives_cut before_writing
  until [ "$kept" = new ]; do
    [ "$ms" -lt 60000 ] || fail "$kind: an installation takes more than a minute"
    survives_cut "$(printf '%d.%03d' "$((ms / 1000))" "$((ms % 1000))")"
    ms=$((ms * 2))
  done
}

# What somebody else has installed over a release is not taken for it.
notices_others() {
  release "$((from % 3 + 1))"
  gives_install 0
  rauc install "$dir/$from" >"$work/out" 2>&1
  status_is old
  gives 0 rollback
}

direct() {
  echo "== $kind, handed over by hand"
  set_up
  power_on
  runs a
  installs_commits_and_falls_back
  refuses
  release 2
  survives_a_cut_before_its_note
  asks_for_later
  reboot
  runs b
  from=3
  survives_cuts
  if [ "$kind" = rauc ]; then
    notices_others
    pass "another bundle installed by hand over the release: old"
  fi
}

# ---- inside: all the way from the signing station

# multicasts BUNDLE SEQUENCE: one release, on the air until the test ends or the next one replaces it.
multicasts() {
  fleetcast-sign create --key "$work/fleetcast.pem" --vendor acme.example --class board-a --version "$2.0" --sequence "$2" \
    --image bundle="$1" --out "$dir/$2.fleetcast" >"$dir/sign.log"
  [ -z "${sender:-}" ] || { kill "$sender"; wait "$sender" || true; }
  fleetcast-send run "$dir/$2.fleetcast" --image bundle="$1" --group 239.255.70.67:4701 --interface lo --rate 80M \
    >"$dir/send.log" 2>&1 &
  sender=$!
}
receives() { fleetcast-recv receive --config "$dir/recv.toml" --once --timeout "$1" >"$dir/recv.log" 2>&1; }

end_to_end() {
  echo "== $kind, handed over by fleetcast-recv"
  set_up
  power_on
  mkdir "$dir/images"
  [ -e "$work/fleetcast.pem" ] || fleetcast-sign keygen --out "$work/fleetcast.pem" --pub "$work/fleetcast.pub.pem"
  {
    printf 'trust = ["%s"]\nvendor = "acme.example"\nclasses = ["board-a"]\n' "$work/fleetcast.pub.pem"
    printf 'interface = "lo"\ngroups = ["239.255.70.67:4701"]\nstate = "%s"\n' "$dir/fleetcast"
    printf '[[target]]\nname = "bundle"\npath = "%s"\n[exec]\nprogram = [' "$dir/images/bundle"
    printf '"%s", ' "${program[@]}"
    printf ']\ntimeout = "2min"\n[confine]\nwrite = ["%s"]\n' "$dir"
  } >"$dir/recv.toml"
  fleetcast-recv check-config "$dir/recv.toml" >"$dir/recv.log"

  multicasts "$dir/1" 1
  receives 120s || { cat "$dir/recv.log" >&2; fail "$kind: fleetcast-recv has not installed the release"; }
  holds b 1
  reboot
  runs b
  "${program[@]}" commit
  pass "signed, multicast, verified, handed over: the other slot holds the image, bit for bit, and runs"

  remember
  multicasts "$dir/stranger" 2
  ! receives 20s || fail "$kind: fleetcast-recv calls a refused bundle installed"
  unchanged
  pass "a bundle that $kind refuses: nothing written, and fleetcast-recv fails"
  kill "$sender"
  wait "$sender" || true
  sender=
}

inside() {
  work=$1
  ip link set lo up
  mkdir "$work/etc"
  cp -a /etc/. "$work/etc"
  mount --bind "$work/etc" /etc
  mount -t tmpfs tmpfs /run
  cat /proc/sys/kernel/random/uuid >"$work/boot_id"
  mount --bind "$work/boot_id" /proc/sys/kernel/random/boot_id
  local name
  for name in release stranger; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$name" -addext extendedKeyUsage=emailProtection \
      -addext keyUsage=digitalSignature -keyout "$work/$name.key" -out "$work/$name.pem" 2>/dev/null
  done
  # What both programs run before they write: it waits for as long as there is a file `hold`.
  cat >"$work/hold.sh" <<END
#!/bin/sh
cd '$work'
[ ! -e hold ] || touch held
while [ -e hold ]; do sleep 0.05; done
END
  chmod +x "$work/hold.sh"
  for kind in rauc swupdate; do
    dir=$work/$kind
    if [ -n "$2" ]; then end_to_end; else direct; fi
    power_off
  done
}

if [ "${1-}" = --inside ]; then inside "$2" "$3"; else outside "$@"; fi
