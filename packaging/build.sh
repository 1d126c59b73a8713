#!/usr/bin/env bash
# Builds Debian packages of the programs into target/debian, for Debian releases as new as this one or newer.
#
#   ./packaging/build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/setup.sh
need_rust
need jq:jq dpkg-shlibdeps:dpkg-dev
need_cargo cargo-deb@3.8.0
programs=(fleetcast-recv fleetcast-send fleetcast-sign)
out=target/packaging

# The same sources make the same packages.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
rm -rf "$out" target/debian
mkdir -p "$out/libraries" target/debian

cargo build --locked --release --quiet "${programs[@]/#/-p}"
# Of no package by name: then it is built of what tests are built of.
cargo run --locked --quiet --example manuals -- "$out"

version=$(cargo pkgid -p fleetcast-recv | sed 's/.*[@#]//')
cat >"$out/changelog" <<EOF
fleetcast ($version-1) unstable; urgency=medium

  * What has changed is in NEWS.md.

 -- The Fleetcast developers <fleetcast@localhost>  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
EOF

# licences PROGRAM: the libraries it is linked with, what licences they have, and those texts, each once.
licences() {
  local name version licence folder file sum
  declare -A seen=()
  while read -r name version licence; do
    printf '\n==== %s %s: %s\n' "$name" "$version" "$licence"
    folder=$(jq -r --arg n "$name" --arg v "$version" \
      '.packages[] | select(.name == $n and .version == $v) | .manifest_path' "$out/metadata.json")
    for file in "${folder%/*}"/{LICEN[CS]E,COPYING,COPYRIGHT,NOTICE}*; do
      [ -f "$file" ] || continue
      sum=$(sha256sum <"$file")
      if [ -n "${seen[$sum]:-}" ]; then
        printf '\n-- %s: as %s\n' "${file##*/}" "${seen[$sum]}"
      else
        seen[$sum]="${file##*/} of $name"
        printf '\n-- %s\n\n' "${file##*/}"
        cat "$file"
      fi
    done
  done < <(cargo tree --locked -p "$1" -e normal --prefix none -f '{p} {l}' | grep -v '^fleetcast-' | sed 's/ v/ /; s/ (proc-macro)//; s/ (\*)//' | sort -u)
}
cargo metadata --locked --format-version 1 --filter-platform "$(rustc -vV | sed -n "s/^host: //p")" >"$out/metadata.json"

for program in "${programs[@]}"; do
  licences "$program" | gzip -9n >"$out/libraries/$program.txt.gz"
  cargo deb --locked --no-build --quiet -p "$program" --output target/debian/
done
ls -l target/debian/*.deb >&2
