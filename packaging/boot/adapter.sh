# Sourced by the boot adapters: the contract of README.md over three values that each of them keeps in its own way.
#
#   order   the slot to be started first: a or b
#   a, b    ok: confirmed, not counted; 1 to 9: attempts left; 0: never started
#
# An adapter defines  load            sets $order, $a and $b
#                     store KEY WORD  changes one of them, durably and in one atomic step
#                     settle          makes what it reads survive a power cut; another one may have been killed in a store
# and may define      set_primary SLOT N, if two stores are not its way.

die() { echo "$name: $*" >&2; exit 1; }
usage() { echo "usage: $name [-c FILE] get-current | get-primary | set-primary a|b 1..9 | get-state a|b | set-state a|b good|bad" >&2; exit 2; }

# setting KEY DEFAULT: a value from the file of -c, KEY=VALUE in each line.
setting() {
  found=
  if [ -n "$config" ]; then
    [ -r "$config" ] || die "cannot read $config, which -c names"
    found=$(sed -n "s/^$1=//p" "$config" | tail -n 1)
  fi
  echo "${found:-$2}"
}

is_slot() { case $1 in a | b) ;; *) usage ;; esac }
other() { if [ "$1" = a ]; then echo b; else echo a; fi; }
word_of() { if [ "$1" = a ]; then echo "$a"; else echo "$b"; fi; }

checked_load() {
  load
  case $order in a | b) ;; *) die "$where: the first slot is '$order', not a or b; set it up as README.md says" ;; esac
  for word in "$a" "$b"; do
    case $word in ok | [0-9]) ;; *) die "$where: a slot is '$word', not ok or 0 to 9; set it up as README.md says" ;; esac
  done
}

# The slot to be started next.
next() {
  for slot in "$order" "$(other "$order")"; do
    [ "$(word_of "$slot")" = 0 ] || { echo "$slot"; return; }
  done
  die "$where: neither slot may be started; confirm the one that runs: set-state SLOT good"
}

# From the kernel's command line: fleetcast.slot=a, or rauc.slot=A as devices with RAUC have it.
current() {
  line=$(setting cmdline /proc/cmdline)
  for word in $(cat "$line"); do
    case $word in
      fleetcast.slot=a | rauc.slot=[aA]) echo a; return ;;
      fleetcast.slot=b | rauc.slot=[bB]) echo b; return ;;
    esac
  done
  die "$line does not say which slot runs; have the boot loader append fleetcast.slot=a or =b"
}

# The other slot stays what it is until the last store: that is the one step.
set_primary() {
  [ "$order" = "$1" ] || [ "$(word_of "$1")" = "$2" ] || store "$1" "$2"
  [ "$order" = "$1" ] || { store order "$1"; return; }
  [ "$(word_of "$1")" = "$2" ] || store "$1" "$2"
}

main() {
  verb=${1-}
  case $verb:$# in
    get-current:1) current ;;
    get-primary:1) checked_load; next ;;
    get-state:2)
      is_slot "$2"
      checked_load
      if [ "$(word_of "$2")" = 0 ]; then echo bad; else echo good; fi
      ;;
    set-state:3)
      is_slot "$2"
      case $3 in good) wanted=ok ;; bad) wanted=0 ;; *) usage ;; esac
      checked_load
      [ "$(word_of "$2")" = "$wanted" ] || store "$2" "$wanted"
      settle
      ;;
    set-primary:3)
      is_slot "$2"
      case $3 in [1-9]) ;; *) usage ;; esac
      checked_load
      set_primary "$2" "$3"
      settle
      ;;
    *) usage ;;
  esac
}

config=
if [ "${1-}" = -c ]; then
  [ $# -ge 2 ] || usage
  config=$2
  shift 2
fi
