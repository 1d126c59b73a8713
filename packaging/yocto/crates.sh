#!/usr/bin/env bash
# Writes fleetcast-recv-crates.inc beside the recipe: all crates of Cargo.lock, with their checksums.
#
#   ./packaging/yocto/crates.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
awk -F'"' '
  # A package ends where the next one begins; only those of the registry have a checksum.
  /^name = / { name = $2 }
  /^version = / { version = $2 }
  /^checksum = / {
    uris = uris "    crate://crates.io/" name "/" version " \\\n"
    sums = sums "SRC_URI[" name "-" version ".sha256sum] = \"" $2 "\"\n"
  }
  END { printf "# Made by packaging/yocto/crates.sh.\nSRC_URI += \" \\\n%s\"\n\n%s", uris, sums }
' Cargo.lock >packaging/yocto/meta-fleetcast/recipes-core/fleetcast/fleetcast-recv-crates.inc
