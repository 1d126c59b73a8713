#!/usr/bin/env bash
# Checks the Yocto layer and the Buildroot tree as far as that goes without either: it lints the recipe, reads the options, and carries out
# what both do to install, on the files of this tree. Neither BitBake nor Buildroot is run.
#
#   ./packaging/check.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/setup.sh
need make:make
VENV=target/venv-packaging need_venv oelint-adv==9.11.2 kconfiglib==14.1.0
export PATH="$PWD/target/venv-packaging/bin:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$PWD

# installed FOLDER PATH...: all of these are there, and are those of this tree.
installed() {
  local folder=$1 path
  shift
  for path; do cmp "$source/${path#*=}" "$folder/${path%%=*}"; done
}
boot=()
for file in adapter.sh uboot grub systemd-boot pointer; do boot+=("usr/lib/fleetcast/boot/$file=packaging/boot/$file"); done
common=("${boot[@]}" etc/fleetcast/recv.toml=examples/recv.toml
  usr/lib/systemd/system/fleetcast-recv.service=packaging/systemd/fleetcast-recv.service
  usr/lib/systemd/system/fleetcast-commit.service=packaging/systemd/fleetcast-commit.service
  usr/lib/systemd/catalog/fleetcast-recv.catalog=packaging/systemd/fleetcast-recv.catalog)

say "== Yocto"
./packaging/yocto/crates.sh
recipe=packaging/yocto/meta-fleetcast/recipes-core/fleetcast/fleetcast-recv_git.bb
# Which commit is built is for the product to say, there is no home page to name, and lists of crates have this form.
quiet=()
for rule in vars.autorev var.suggestedvar.CVE_PRODUCT var.bbclassextend var.mandatoryvar.HOMEPAGE var.suggestedvar.BUGTRACKER \
  vars.inconspaces vars.notneededspace; do quiet+=(--suppress "oelint.$rule"); done
oelint-adv --quiet --exit-zero "${quiet[@]}" "$recipe" >"$work/lint" 2>&1
! head -20 "$work/lint" | grep . || die "the recipe"
for licence in LICENSE-MIT LICENSE-APACHE; do
  grep -q "file://$licence;md5=$(md5sum <"$licence" | cut -d' ' -f1)" "$recipe" || die "$licence is another than the recipe's"
done
# The body is shell, with variables that BitBake puts in.
sed -n '/^do_install:append() {$/,/^}$/p' "$recipe" | sed '1d; $d' >"$work/install"
D=$work/yocto S=$source sysconfdir=/etc systemd_system_unitdir=/usr/lib/systemd/system nonarch_libdir=/usr/lib \
  bash -euo pipefail "$work/install"
installed "$work/yocto" "${common[@]}"

say "== Buildroot"
tree=packaging/buildroot
cat >"$work/Config.in" <<'EOF'
config BR2_PACKAGE_HOST_RUSTC_TARGET_ARCH_SUPPORTS
	def_bool y
config BR2_PACKAGE_HOST_RUSTC
	bool
EOF
# Here the variable is written in the way of the kernel's newer Kconfig.
# shellcheck disable=SC2016
sed 's/\$\(BR2[A-Z_]*\)/$(\1)/' "$tree/Config.in" >>"$work/Config.in"
BR2_EXTERNAL_FLEETCAST_PATH=$source/$tree KCONFIG_WARN_UNDEF=y python3 - "$work" <<'EOF'
import sys, kconfiglib
work = sys.argv[1]
options = kconfiglib.Kconfig(f"{work}/Config.in")
options.syms["BR2_PACKAGE_FLEETCAST_RECV"].set_value("y")
chosen = {name: options.syms[f"BR2_PACKAGE_{name}"].str_value for name in ("FLEETCAST_RECV", "HOST_RUSTC", "FLEETCAST_RECV_VERSION")}
assert chosen == {"FLEETCAST_RECV": "y", "HOST_RUSTC": "y", "FLEETCAST_RECV_VERSION": "main"}, chosen
assert not options.warnings, options.warnings
EOF
# In Buildroot, what it does to each package after it has put the source in its folder; here that is this tree.
cat >"$work/Makefile" <<'EOF'
qstrip = $(strip $(subst ",,$(1)))
INSTALL = install
BR2_PACKAGE_FLEETCAST_RECV_VERSION = "main"
include $(BR2_EXTERNAL_FLEETCAST_PATH)/external.mk
FLEETCAST_RECV_PKGDIR = $(BR2_EXTERNAL_FLEETCAST_PATH)/package/fleetcast-recv
$(SOURCE)/.not-a-file:
	test "$(FLEETCAST_RECV_VERSION) $(FLEETCAST_RECV_SITE)" = "main $(SOURCE)"
	test -f $(@D)/$(FLEETCAST_RECV_SUBDIR)/Cargo.toml
	test -f $(firstword $(addprefix $(@D)/,$(FLEETCAST_RECV_LICENSE_FILES)))
	$(foreach hook,$(FLEETCAST_RECV_POST_INSTALL_TARGET_HOOKS),$($(hook))$(newline))
	$(FLEETCAST_RECV_INSTALL_INIT_SYSTEMD)
	$(FLEETCAST_RECV_INSTALL_INIT_SYSV)
define newline


endef
EOF
make --silent --warn-undefined-variables -f "$work/Makefile" BR2_EXTERNAL_FLEETCAST_PATH="$source/$tree" SOURCE="$source" \
  TARGET_DIR="$work/buildroot" BR2_PACKAGE_FLEETCAST_RECV_SITE= cargo-package= "$source/.not-a-file"
installed "$work/buildroot" "${common[@]}" "etc/init.d/S60fleetcast-recv=$tree/package/fleetcast-recv/S60fleetcast-recv"
say "layers: all passed"
