################################################################################
#
# fleetcast-recv
#
################################################################################

FLEETCAST_RECV_VERSION = $(call qstrip,$(BR2_PACKAGE_FLEETCAST_RECV_VERSION))
FLEETCAST_RECV_SITE = $(or $(call qstrip,$(BR2_PACKAGE_FLEETCAST_RECV_SITE)),$(realpath $(BR2_EXTERNAL_FLEETCAST_PATH)/../..))
FLEETCAST_RECV_SITE_METHOD = git
FLEETCAST_RECV_LICENSE = MIT or Apache-2.0
FLEETCAST_RECV_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
# One program of a workspace.
FLEETCAST_RECV_SUBDIR = crates/recv

define FLEETCAST_RECV_INSTALL_SETTINGS
	$(INSTALL) -D -m 0644 $(@D)/examples/recv.toml \
		$(TARGET_DIR)/etc/fleetcast/recv.toml
	$(INSTALL) -D -m 0644 $(@D)/packaging/boot/adapter.sh \
		$(TARGET_DIR)/usr/lib/fleetcast/boot/adapter.sh
	$(INSTALL) -m 0755 -t $(TARGET_DIR)/usr/lib/fleetcast/boot \
		$(addprefix $(@D)/packaging/boot/,uboot grub systemd-boot pointer)
endef
FLEETCAST_RECV_POST_INSTALL_TARGET_HOOKS += FLEETCAST_RECV_INSTALL_SETTINGS

define FLEETCAST_RECV_USERS
	fleetcast-recv -1 fleetcast-recv -1 * /var/lib/fleetcast - - Receives Fleetcast releases
endef

define FLEETCAST_RECV_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 $(@D)/packaging/systemd/fleetcast-recv.service \
		$(TARGET_DIR)/usr/lib/systemd/system/fleetcast-recv.service
	$(INSTALL) -D -m 0644 $(@D)/packaging/systemd/fleetcast-commit.service \
		$(TARGET_DIR)/usr/lib/systemd/system/fleetcast-commit.service
	$(INSTALL) -D -m 0644 $(@D)/packaging/systemd/fleetcast-recv.catalog \
		$(TARGET_DIR)/usr/lib/systemd/catalog/fleetcast-recv.catalog
endef

define FLEETCAST_RECV_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(FLEETCAST_RECV_PKGDIR)/S60fleetcast-recv \
		$(TARGET_DIR)/etc/init.d/S60fleetcast-recv
endef

$(eval $(cargo-package))
