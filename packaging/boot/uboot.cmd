# Boot script of U-Boot for two slots: mkimage -A arm64 -T script -C none -d uboot.cmd boot.scr
#
# Counts attempts in the environment, in the variables of the adapter `uboot`:
#   BOOT_ORDER "a b" or "b a"; BOOT_a_LEFT, BOOT_b_LEFT: ok, or attempts left.
# Set what is specific to the board at the end. Needs CONFIG_CMD_SETEXPR and a saved environment, best in two copies.

test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "a b"
test -n "${BOOT_a_LEFT}" || setenv BOOT_a_LEFT ok
test -n "${BOOT_b_LEFT}" || setenv BOOT_b_LEFT 0

# A start that could not be counted could be repeated for ever: then rather the other slot.
setenv slot
for s in ${BOOT_ORDER}; do
  if test -n "${slot}"; then
    true
  elif test "${s}" = a; then
    if test "${BOOT_a_LEFT}" = ok; then
      setenv slot a
    elif test "${BOOT_a_LEFT}" != 0; then
      setexpr BOOT_a_LEFT ${BOOT_a_LEFT} - 1
      saveenv && setenv slot a
    fi
  else
    if test "${BOOT_b_LEFT}" = ok; then
      setenv slot b
    elif test "${BOOT_b_LEFT}" != 0; then
      setexpr BOOT_b_LEFT ${BOOT_b_LEFT} - 1
      saveenv && setenv slot b
    fi
  fi
done

if test -z "${slot}"; then
  echo "no slot may be started; in Linux or here: setenv BOOT_a_LEFT ok; saveenv"
  exit
fi

# What is specific to the board.
if test "${slot}" = a; then setenv part 2; else setenv part 3; fi
setenv bootargs "${bootargs} root=/dev/mmcblk0p${part} fleetcast.slot=${slot}"
load mmc 0:${part} ${kernel_addr_r} /boot/Image && load mmc 0:${part} ${fdt_addr_r} /boot/board.dtb && booti ${kernel_addr_r} - ${fdt_addr_r}
# The kernel could not even be loaded: the next attempt.
reset
