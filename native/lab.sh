#!/usr/bin/env bash
# The program operations-lab, built where it is not, or no longer, up to date: native/lab.sh COMMAND [OPTION...]
# It takes Rust and a C compiler, for the linker. What else a command needs, the program gets by itself.
set -euo pipefail
umask 022

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

[ "$(uname)" = Linux ] || die "the native way runs on Linux only: see README.md for the one with Docker"
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
# cargo is run in the checkout, and takes a relative folder for one in it.
target=${CARGO_TARGET_DIR:-target}
[ "${target:0:1}" = / ] || target=$checkout/$target
[ -z "${CARGO_TARGET_DIR:-}" ] || export CARGO_TARGET_DIR=$target
lab=$target/debug/operations-lab

# Where nothing was built yet, the program of a package will do that is of the same version. For work on the project it is built.
if [ ! -x "$lab" ] && [ "${EXTENSION:-}" != build ] && packaged=$(command -v operations-lab); then
    version=$(sed -n 's/^version *= *"\([^"]*\)".*/\1/p' "$checkout/Cargo.toml" | head -n 1)
    case ${1:-} in
    dev | package) ;;
    *)
        if [ "$("$packaged" --version 2>/dev/null)" = "operations-lab $version" ]; then
            echo "Using $packaged, of version $version; EXTENSION=build builds it from this checkout" >&2
            OPERATIONS_CHECKOUT=$checkout exec "$packaged" "$@"
        fi
        ;;
    esac
fi

PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

# Whether nothing that the program is built from has changed since cargo was last asked for it, by the list that cargo puts beside it: to
# ask cargo takes longer than most commands. Whenever the list is not of this checkout, or cannot be read, cargo is asked.
is_built() {
    local list file
    [ -x "$lab" ] && [ -e "$lab.asked" ] && [ -r "$lab.d" ] || return 1
    # shellcheck disable=SC2162 # A blank in a name has a backslash before it there.
    read -a list <"$lab.d" || return 1
    [ "${list[0]}" = "$lab:" ] && [[ " ${list[*]} " == *" $checkout/lab/src/main.rs "* ]] || return 1
    for file in "$checkout/Cargo.toml" "$checkout/Cargo.lock" "$checkout/lab/Cargo.toml" "${list[@]:1}"; do
        [ -e "$file" ] && [ "$lab.asked" -nt "$file" ] || return 1
    done
}
is_built && exec "$lab" "$@"

wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$checkout/Cargo.toml" | head -n 1)
have cargo || die "Rust is missing: install Rust $wanted or newer (rustup), then run make again"
found=$(cd "$checkout" && rustc --version | cut -d' ' -f2)
[ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
    die "Rust $found is too old: this needs $wanted or newer (rustup update)"

# What is printed here is no part of what the program prints.
{
    if ! have cc; then
        { [ "$(id -u)" = 0 ] && have apt-get; } ||
            die "a C compiler is missing: install it (Debian, as root: apt-get install -y gcc libc6-dev), then run make again"
        echo "Installing a C compiler"
        export DEBIAN_FRONTEND=noninteractive
        install=(apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends gcc libc6-dev)
        "${install[@]}" || { apt-get -qq update && "${install[@]}"; } || die "the C compiler could not be installed: see above"
    fi
    [ -x "$lab" ] || echo "Building operations-lab (once, about a minute)"
    # What is changed from now on, the next command builds.
    mkdir -p "$target/debug"
    : >"$lab.asking.$$"
    # Not optimised, as for the tests: a first build is quick.
    env -C "$checkout" cargo build --quiet --locked -p operations_lab </dev/null || {
        rm -f "$lab.asking.$$"
        die "the program operations-lab could not be built: see above"
    }
    mv "$lab.asking.$$" "$lab.asked"
} >&2
exec "$lab" "$@"
