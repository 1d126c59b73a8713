# Sourced by scripts: installs what is missing, or names it. Needs root or sudo only if something is missing.

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else die "run as root, or install: $*"; fi
}

# install PACKAGE...: Debian packages.
install() {
  command -v apt-get >/dev/null || die "needs the programs of these Debian packages: $*"
  [ -n "${apt_is_fresh:-}" ] || { as_root apt-get update -qq; apt_is_fresh=1; }
  say "installing $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need COMMAND:PACKAGE...: commands, by the Debian package that has them.
need() {
  local pair missing=()
  for pair in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} = 0 ] || install "${missing[@]}"
  case ":$PATH:" in *:/usr/sbin:*) ;; *) PATH="$PATH:/usr/sbin:/sbin" ;; esac
}

# need_file FILE:PACKAGE...: files, by the Debian package that has them.
need_file() {
  local pair missing=()
  for pair in "$@"; do
    [ -e "${pair%%:*}" ] || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} = 0 ] || install "${missing[@]}"
}

# A C compiler for the linker, and the Rust of rust-toolchain.toml.
need_rust() {
  local version
  version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  # gcc only recommends the files it needs to link.
  command -v cc >/dev/null || install gcc libc6-dev ca-certificates
  [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH="$HOME/.cargo/bin:$PATH"
  # Older releases of Debian have no such package.
  command -v cargo >/dev/null || (install rustup) || true
  command -v cargo >/dev/null || die "needs Rust $version: install rustup, it fetches that version by itself"
  case "$(rustc --version)" in
    "rustc $version"*) ;;
    *) die "needs Rust $version, and $(command -v rustc) is another: install rustup, it fetches that version by itself" ;;
  esac
}

# need_cargo PACKAGE@VERSION [OPTION...]: a program from the crates registry; that version, unless there is one. In CI it is not optimized,
# which would take longer than all that it does there.
need_cargo() {
  local quickly=()
  [ ! -d "$HOME/.cargo/bin" ] || PATH="$HOME/.cargo/bin:$PATH"
  [ -z "${CI:-}" ] || quickly=(env CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off)
  command -v "${1%@*}" >/dev/null || { say "installing $1 (some minutes)"; "${quickly[@]}" cargo install --quiet --locked "$@"; }
}

# can_make_namespaces: whether tests of real networks can run.
can_make_namespaces() {
  unshare --net --mount true 2>/dev/null
}

# need_python MODULE:PACKAGE...: sets $PYTHON to an interpreter that has them.
need_python() {
  local pair
  need python3:python3
  for PYTHON in python3 /usr/bin/python3; do
    for pair in "$@"; do "$PYTHON" -c "import ${pair%%:*}" 2>/dev/null || continue 2; done
    return
  done
  install python3 "${@#*:}"
  PYTHON=/usr/bin/python3
}

# need_venv PACKAGE==VERSION...: Python packages, in a virtual environment: $VENV, or else under the target folder, where tests look for it.
need_venv() {
  local venv="${VENV:-${CARGO_TARGET_DIR:-$PWD/target}/venv}"
  need_python ensurepip:python3-venv
  [ "$(cat "$venv/packages" 2>/dev/null)" != "$*" ] || return 0
  say "installing $* in $venv"
  "$PYTHON" -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
  printf '%s\n' "$*" >"$venv/packages"
}
