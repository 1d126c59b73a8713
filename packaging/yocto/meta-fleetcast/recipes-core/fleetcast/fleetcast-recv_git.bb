SUMMARY = "Receives signed software updates over multicast"
DESCRIPTION = "The device daemon of Fleetcast: verifies every packet before it is written, and installs whole releases"
SECTION = "net"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE-MIT;md5=93eaa8cc83df9ddbadbac032ed996c42 \
                    file://LICENSE-APACHE;md5=22a53954e4e0ec258dfce4391e905dac"

PV = "0.1.0+git"

# Where the source is kept, and which commit (SRCREV): to be set in a bbappend or the distribution.
FLEETCAST_GIT ?= "git://example.com/fleetcast.git;protocol=https;branch=main"
SRC_URI = "${FLEETCAST_GIT}"
SRCREV ?= "${AUTOREV}"

# Made from Cargo.lock by packaging/yocto/crates.sh, or by `bitbake -c update_crates fleetcast-recv`.
require fleetcast-recv-crates.inc

inherit cargo cargo-update-recipe-crates systemd useradd

CARGO_BUILD_FLAGS += "-p fleetcast-recv"

# Not enabled by itself: write recv.toml and the public key first, see do_install below.
SYSTEMD_SERVICE:${PN} = "fleetcast-recv.service fleetcast-commit.service"
SYSTEMD_AUTO_ENABLE = "disable"

USERADD_PACKAGES = "${PN}"
USERADD_PARAM:${PN} = "--system --no-create-home --home-dir ${localstatedir}/lib/fleetcast --shell /sbin/nologin --user-group fleetcast-recv"

do_install:append() {
    install -d ${D}${sysconfdir}/fleetcast ${D}${systemd_system_unitdir} ${D}${nonarch_libdir}/fleetcast/boot ${D}${nonarch_libdir}/systemd/catalog
    # A bbappend of yours puts the settings and keys of the product in its place.
    install -m 0644 ${S}/examples/recv.toml ${D}${sysconfdir}/fleetcast/recv.toml
    install -m 0644 ${S}/packaging/systemd/fleetcast-recv.service ${D}${systemd_system_unitdir}/
    install -m 0644 ${S}/packaging/systemd/fleetcast-commit.service ${D}${systemd_system_unitdir}/
    install -m 0644 ${S}/packaging/systemd/fleetcast-recv.catalog ${D}${nonarch_libdir}/systemd/catalog/
    install -m 0644 ${S}/packaging/boot/adapter.sh ${D}${nonarch_libdir}/fleetcast/boot/
    for adapter in uboot grub systemd-boot pointer; do
        install -m 0755 ${S}/packaging/boot/$adapter ${D}${nonarch_libdir}/fleetcast/boot/
    done
}

FILES:${PN} += "${nonarch_libdir}/fleetcast ${nonarch_libdir}/systemd/catalog"
CONFFILES:${PN} += "${sysconfdir}/fleetcast/recv.toml"
