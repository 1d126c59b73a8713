# shellcheck shell=bash
# A machine to follow a chapter on: run as the first process of new network, mount and process namespaces.
# $1 is the chapter as a script, $2 an empty folder to run it in, $3 the repository, $4 a folder with our programs.
set -euo pipefail

# Folders that commands may write to, as if nothing had ever been installed.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/etc
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
for folder in /srv /var/cache /var/lib; do
  mount -t tmpfs -o mode=755 tmpfs "$folder"
done

# One cable, with both ends here: what leaves by one comes in by the other, from an address of this machine.
ip link set lo up multicast on
ip route add 224.0.0.0/4 dev lo
ip link add eth0 type veth peer name eth1
for end in 0 1; do
  ip link set "eth$end" addrgenmode none up
  ip address add "10.78.0.$((end + 1))/24" dev "eth$end"
  ip address add "fd78::$((end + 1))/64" dev "eth$end" nodad
  echo 1 >"/proc/sys/net/ipv4/conf/eth$end/accept_local"
  echo 0 >"/proc/sys/net/ipv4/conf/eth$end/rp_filter"
done
echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter

cd "$2"
exec env -i PATH="$4:/usr/sbin:$PATH" HOME="$2" USER=root LANG=C.UTF-8 TZ=UTC FLEETCAST="$3" bash -euo pipefail "$1" </dev/null
