#!/usr/bin/env bash
# Installs the Debian packages in a container that was made for it, has the packaged sender send a release to the packaged receiver, and
# removes them again. Needs root, for systemd runs in the container; nothing of it is left.
#
#   ./packaging/test.sh            builds the packages first
#   ./packaging/test.sh --built    takes those in target/debian
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/setup.sh
[ "${1:-}" = --built ] || ./packaging/build.sh
[ "$(id -u)" = 0 ] || die "systemd cannot be started in a container: run as root"
need systemd-nspawn:systemd-container mmdebstrap:mmdebstrap nsenter:util-linux jq:jq

# Most exposure that `systemd-analyze security` may find in a unit, in tenths.
limit=15

work=$(mktemp -d)
container=
cleanup() {
  if [ -n "$container" ]; then
    kill "$container" 2>/dev/null || true
    wait "$container" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

root=$work/root
# In the container: a command, or a script on stdin.
inside() { nsenter --all --target "$leader" -- /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"; }

# until_true SECONDS WHAT COMMAND...: waits for a command to succeed.
until_true() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || { inside journalctl --no-pager --lines=80 >&2 || true; die "$what does not come about"; }
    sleep 0.2
  done
}

property() { inside systemctl show --property="$2" --value "$1"; }
# The id of a kind of entries in the journal, and a check, in the language of jq, that one of that kind is there.
message_id() { sed -n "\\|^# $1\$|{n; s/^-- //p}" packaging/systemd/*.catalog; }
logged() { inside journalctl --quiet --output=json "MESSAGE_ID=$(message_id "$1")" | jq -es "any($2)" >/dev/null; }
has_status() { [ -n "$(property "$1" StatusText)" ]; }
is() { [ "$(property "$1" "$2")" = "$3" ]; }

say "== a clean root"
mmdebstrap --quiet --mode=root --variant=minbase --include=systemd,dbus \
  "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root"
mkdir "$root/packages" "$root/before"
cp target/debian/*.deb "$root/packages"
# The same, as if they were of an older version.
for package in target/debian/*.deb; do
  dpkg-deb --raw-extract "$package" "$work/package"
  sed -i 's/^Version: /&0~/' "$work/package/DEBIAN/control"
  dpkg-deb --root-owner-group --build "$work/package" "$root/before" >/dev/null
  rm -r "$work/package"
done

say "== start it"
cat >"$work/start" <<'EOF'
set -e
# systemd in a container needs the second version of control groups; machines that start without systemd may have the first.
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
  umount -R /sys/fs/cgroup 2>/dev/null || true
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
# No network but a loopback of its own. Older versions do not let programs confine themselves.
exec systemd-nspawn --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
  --quiet --directory="$1" --machine="fleetcast-$$" --boot --private-network --register=no --keep-unit \
  --link-journal=no --console=pipe
EOF
unshare --mount bash "$work/start" "$root" <&- >"$work/console" 2>&1 &
container=$!
leader=
find_leader() { leader=$(ps -o pid= --ppid "$container" | tr -d ' ') && [ -n "$leader" ] && inside systemctl is-system-running --quiet; } 2>/dev/null
until_true 60 "the start of the container" find_leader
inside find / -xdev \( -path /proc -o -path /run -o -path /var/log -o -path /var/cache/apt -o -path /tmp \) -prune -o -print | sort >"$work/before"

say "== install"
inside sh -c 'apt-get install --yes --quiet=2 /before/*.deb' >"$work/apt" 2>&1 || { cat "$work/apt" >&2; die "apt"; }
for unit in fleetcast-recv.service fleetcast-commit.service fleetcast-send.service fleetcast-beacon.timer fleetcast-beacon-publish.path; do
  [ "$(inside systemctl is-enabled "$unit" || true)" = disabled ] || die "$unit is enabled before it has settings"
done
for program in fleetcast-recv fleetcast-send fleetcast-sign; do
  inside "$program" --version
  inside bash -n "/usr/share/bash-completion/completions/$program"
  inside sh -c "zcat /usr/share/man/man1/$program.1.gz | grep -q '^.SH OPTIONS'"
done

say "== units: verify, exposure"
units=(fleetcast-recv.service fleetcast-commit.service fleetcast-send.service fleetcast-send@.service fleetcast-beacon.service fleetcast-beacon.timer fleetcast-beacon-publish.service fleetcast-beacon-publish.path)
inside systemd-analyze verify --man=no "${units[@]}"
for unit in fleetcast-recv.service fleetcast-commit.service fleetcast-send.service fleetcast-send@test.service fleetcast-beacon.service fleetcast-beacon-publish.service; do
  inside systemd-analyze security --no-pager --threshold="$limit" "$unit" | tail -1
done

say "== send and receive a release"
inside sh -e <<'EOF'
cd /srv/fleetcast
head -c 3000000 /dev/urandom >app.img
umask 077
fleetcast-sign keygen --out /root/key.pem --pub /etc/fleetcast/release-key.pub.pem >/dev/null 2>&1
chmod 644 /etc/fleetcast/release-key.pub.pem
umask 022
fleetcast-sign create --key /root/key.pem --vendor acme.example --class board-a --version 1.0 --sequence 1 \
  --image app=app.img --out 1.0.fleetcast >/dev/null 2>&1
cat >/etc/fleetcast/send/test.conf <<'CONF'
ARGS="run 1.0.fleetcast --image app=app.img --group 239.255.70.67:4701 \
  --interface lo --rate 40M"
CONF
# The settings of the package, with what a device must say for itself.
sed -i 's|^interface = .*|interface = "lo"|; s|^#runtime = |runtime = |; /^\[\[target\]\]/,/^path = /d; /^#max-size/d' /etc/fleetcast/recv.toml
cat >>/etc/fleetcast/recv.toml <<'CONF'
[[target]]
name = "app"
path = "/data/app.img"
CONF
install -d -o fleetcast-recv /data
install -d /etc/systemd/system/fleetcast-recv.service.d
sed 's|^#\(ReadWritePaths=\)|\1|' /usr/share/doc/fleetcast-recv/examples/targets.conf >/etc/systemd/system/fleetcast-recv.service.d/targets.conf
systemctl daemon-reload
fleetcast-recv check-config /etc/fleetcast/recv.toml
systemctl enable --now fleetcast-recv.service fleetcast-send@test.service
EOF
until_true 60 "the release" inside cmp --silent /srv/fleetcast/app.img /data/app.img
inside fleetcast-recv status --config /etc/fleetcast/recv.toml
for unit in fleetcast-recv.service fleetcast-send@test.service; do
  user=$(inside stat -c %U "/proc/$(property "$unit" MainPID)")
  [ "$user" = "${unit%%[@.]*}" ] || die "$unit runs as $user"
  until_true 5 "the status of $unit" has_status "$unit"
  say "$unit: $(property "$unit" StatusText)"
done
inside journalctl --no-pager --quiet --unit fleetcast-recv.service | { ! grep -i 'confine'; } ||
  die "the receiver is not confined wholly, for which this needs Linux 6.12 with Landlock"

say "== the journal: entries with fields, each once, explained by the catalog"
logged recv/installed '.FLEETCAST_SEQUENCE == "1" and .FLEETCAST_VERSION == "1.0" and .PRIORITY == "5" and ._TRANSPORT == "journal"
  and ._SYSTEMD_UNIT == "fleetcast-recv.service" and .SYSLOG_IDENTIFIER == "fleetcast-recv"' || die "what is installed is not in the journal"
logged send/ready '._SYSTEMD_UNIT == "fleetcast-send@test.service" and .FLEETCAST_VERSION == "1.0"' || die "the sender is not in the journal"
for unit in fleetcast-recv.service fleetcast-send@test.service; do
  ! inside journalctl --quiet "_SYSTEMD_UNIT=$unit" _TRANSPORT=stdout | grep . || die "$unit writes to standard error too"
done
inside journalctl --quiet --catalog "MESSAGE_ID=$(message_id recv/installed)" | grep -A1 'Subject: The release 1 is installed'
[ "$(inside journalctl --list-catalog | grep -c '^[0-9a-f]* fleetcast-')" = "$(cat packaging/systemd/*.catalog | grep -c '^-- ')" ] ||
  die "the catalogs are not those of the packages"
# The daemons go on with it.
inside systemctl restart systemd-journald.service

say "== a daemon that hangs is ended and started again"
for unit in fleetcast-recv.service fleetcast-send@test.service; do
  inside sh -e -s "$unit" <<'EOF'
install -d "/run/systemd/system/$1.d"
printf '[Service]\nWatchdogSec=3s\nRestartSec=1s\n' >"/run/systemd/system/$1.d/watchdog.conf"
systemctl daemon-reload
systemctl restart "$1"
EOF
  # The loop itself feeds it.
  sleep 7
  is "$unit" NRestarts 0 || die "$unit was ended although its loop turns"
  inside systemctl kill --kill-whom=main --signal=STOP "$unit"
  until_true 30 "the end of $unit" is "$unit" NRestarts 1
  until_true 30 "another start of $unit" is "$unit" ActiveState active
  inside journalctl --no-pager --quiet --unit "$unit" | grep -m1 'Watchdog timeout'
done

say "== a head-end follows a channel"
inside sh -e <<'EOF'
systemctl stop fleetcast-send@test.service
cd /srv/fleetcast
fleetcast-sign create --key /root/key.pem --vendor acme.example --class board-a --version 1.1 --sequence 2 \
  --image app=app.img --out 1.1.fleetcast >/dev/null 2>&1
install -d /srv/releases
fleetcast-send publish 1.1.fleetcast --image app=app.img --trust /etc/fleetcast/release-key.pub.pem \
  --store /srv/releases --channel stable
sed -i 's|^interface = .*|interface = "lo"|' /etc/fleetcast/send.toml
fleetcast-send check-config /etc/fleetcast/send.toml
systemctl start fleetcast-send.service
EOF
has_installed() { inside fleetcast-recv status --config /etc/fleetcast/recv.toml | grep -q "^installed  $1"; }
until_true 60 "release 1.1" has_installed 1.1
until_true 5 "its entry in the journal" logged recv/installed '.FLEETCAST_SEQUENCE == "2"'
until_true 5 "that of the stream" logged send/ready '._SYSTEMD_UNIT == "fleetcast-send.service" and .FLEETCAST_STREAM != null'
until_true 5 "the status of fleetcast-send.service" has_status fleetcast-send.service
say "fleetcast-send.service: $(property fleetcast-send.service StatusText)"
inside fleetcast-send status --runtime /run/fleetcast-send
! inside fleetcast-send status --runtime /run/fleetcast-send-test 2>/dev/null || die "a sender that was stopped tells that it runs"
inside systemctl stop fleetcast-send.service

say "== a timer signs the beacon, and it is published"
inside sh -e <<'EOF'
install -d /srv/fleetcast/roots /srv/fleetcast/current
umask 077
for name in /root/root /etc/fleetcast/beacon-key; do fleetcast-sign keygen --out "$name.pem" --pub "$name.pub.pem" >/dev/null 2>&1; done
umask 022
fleetcast-sign root init /srv/fleetcast/roots/1.root --vendor acme.example --root-key /root/root.pub.pem \
  --release-key /etc/fleetcast/release-key.pub.pem --beacon-key /etc/fleetcast/beacon-key.pub.pem >/dev/null 2>&1
fleetcast-sign root sign /srv/fleetcast/roots/1.root --key /root/root.pem >/dev/null 2>&1
cp /srv/fleetcast/1.1.fleetcast /srv/fleetcast/current
fleetcast-send publish --root /srv/fleetcast/roots/1.root --store /srv/releases --channel stable
echo FLEETCAST_STORE=/srv/releases >>/etc/fleetcast/beacon.env
chown -R fleetcast-beacon /srv/releases
install -d /etc/systemd/system/fleetcast-beacon-publish.service.d
printf '[Service]\nReadWritePaths=/srv/releases\n' >/etc/systemd/system/fleetcast-beacon-publish.service.d/store.conf
systemctl daemon-reload
systemctl enable --now fleetcast-beacon-publish.path
systemctl start fleetcast-beacon.service
EOF
has_beacon() { inside fleetcast-send channels --store /srv/releases | grep 'root 1, beacon of .*good until'; }
until_true 30 "the beacon in the store" has_beacon
inside systemctl stop fleetcast-beacon-publish.path

say "== wrong settings are not tried again"
inside sh -c 'systemctl stop fleetcast-recv.service; echo nonsense = 1 >>/etc/fleetcast/recv.toml; ! systemctl start fleetcast-recv.service' 2>/dev/null
sleep 2
for wanted in ActiveState=failed ExecMainStatus=78 NRestarts=0; do
  is fleetcast-recv.service "${wanted%=*}" "${wanted#*=}" || die "with wrong settings it is not $wanted"
done

logged recv/error '.PRIORITY == "3" and ._TRANSPORT == "journal" and (.MESSAGE | contains("nonsense"))' || die "wrong settings are not in the journal"

say "== slots, as the superuser: a release on trial is committed once a start was good"
inside sh -e <<'EOF'
sed -i '/^nonsense/d; s|^path = "/data/app.img"|slots = ["/data/app-a.img", "/data/app-b.img"]|' /etc/fleetcast/recv.toml
cat >>/etc/fleetcast/recv.toml <<'CONF'
[boot]
adapter = ["/usr/lib/fleetcast/boot/pointer", "-c", "/etc/fleetcast/boot.conf"]
[trial]
CONF
sed -i 's|^#write = .*|write = ["/data/boot"]|' /etc/fleetcast/recv.toml
echo folder=/data/boot >/etc/fleetcast/boot.conf
install -d /data/boot
echo a ok 0 a >/data/boot/slots
for unit in fleetcast-recv.service fleetcast-commit.service; do
  install -D -m 644 /usr/share/doc/fleetcast-recv/examples/root.conf "/etc/systemd/system/$unit.d/root.conf"
done
sed -i 's|1\.0\.fleetcast|1.2.fleetcast|' /etc/fleetcast/send/test.conf
cd /srv/fleetcast
fleetcast-sign create --key /root/key.pem --vendor acme.example --class board-a --version 1.2 --sequence 3 \
  --image app=app.img --out 1.2.fleetcast >/dev/null 2>&1
systemctl daemon-reload
systemctl start fleetcast-commit.service
systemctl start fleetcast-recv.service fleetcast-send@test.service
EOF
on_trial() { inside fleetcast-recv status --json --config /etc/fleetcast/recv.toml | grep -q '"phase":"trial"'; }
until_true 60 "the release on trial" on_trial
inside sh -e <<'EOF'
# What the boot loader does.
systemctl stop fleetcast-recv.service fleetcast-commit.service
[ "$(/usr/lib/fleetcast/boot/pointer -c /etc/fleetcast/boot.conf boot)" = b ]
systemctl start fleetcast-recv.service fleetcast-commit.service
EOF
! on_trial || die "the release is on trial after fleetcast-commit.service"
has_installed 1.2 || die "the release is not installed after its commit"

say "== upgrade"
running=(fleetcast-recv.service fleetcast-send@test.service)
pids() { for unit in "${running[@]}"; do property "$unit" MainPID; done; }
before=$(pids)
settings() { inside sha256sum /etc/fleetcast/recv.toml /etc/fleetcast/send.toml; }
own=$(settings)
inside sh -c 'apt-get install --yes --quiet=2 /packages/*.deb' >"$work/apt" 2>&1 || { cat "$work/apt" >&2; die "apt"; }
[ "$(settings)" = "$own" ] || die "settings are others after the upgrade"
for unit in "${running[@]}"; do is "$unit" ActiveState active || die "$unit does not run after the upgrade"; done
! grep -qxF -f <(printf '%s\n' "$before") <(pids) || die "a daemon runs on in its old version"
is fleetcast-send.service ActiveState inactive || die "what was stopped runs after the upgrade"

say "== remove"
inside apt-get remove --yes --quiet=2 'fleetcast-*' >"$work/apt" 2>&1 || { cat "$work/apt" >&2; die "apt"; }
! inside sh -c "cat /proc/*/comm" | grep fleetcast || die "a daemon outlives its package"
inside test -e /var/lib/fleetcast/record -a -e /etc/fleetcast/recv.toml || die "the device's record or settings go before the purge"
inside apt-get purge --yes --quiet=2 'fleetcast-*' >"$work/apt" 2>&1 || { cat "$work/apt" >&2; die "apt"; }
inside find / -xdev \( -path /proc -o -path /run -o -path /var/log -o -path /var/cache/apt -o -path /tmp \) -prune -o -print | sort >"$work/after"
say "left by purge, beside the users:"
comm -13 "$work/before" "$work/after" | grep -v '^/var/lib/\(apt\|dpkg\|systemd\)\|^/etc/.*-$' | tee "$work/left" >&2
# Only what was written by hand, here by this script, and images.
! grep -v '^/data\|^/srv/fleetcast\|^/srv/releases\|^/root/\|^/etc/fleetcast\|^/etc/systemd/system/fleetcast-[a-z-]*.service.d' "$work/left" || die "left by purge"
say "packages: all passed"
