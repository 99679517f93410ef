# shellcheck shell=bash disable=SC2034
# Sourced by every script of this folder: where things are, who runs the server, how we speak.
set -euo pipefail
umask 022

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# libpq's and pgrx's variables of the caller would lead us to another server; a backtrace would reach the clients.
for name in ${!PG@}; do
    [ "$name" = PG_CONFIG ] || unset "$name"
done
unset name RUST_BACKTRACE RUST_LIB_BACKTRACE

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
[ "$(uname)" = Linux ] || die "the native way runs on Linux only: see README.md for the one with Docker"
is_root() { [ "$(id -u)" = 0 ]; }

# PostgreSQL refuses to run as root, so root lends the server to an ordinary user.
if is_root; then SERVER_USER=${SERVER_USER:-postgres}; else SERVER_USER=$(id -un); fi

ensure_server_user() {
    is_root || return 0
    have setpriv || die "setpriv is missing: install util-linux, or run make as an ordinary user"
    id -u "$SERVER_USER" >/dev/null 2>&1 && return 0
    have useradd || die "there is no user $SERVER_USER: create it, or run make as an ordinary user"
    say "Creating the system user $SERVER_USER (PostgreSQL refuses to run as root)"
    useradd --system --user-group --home-dir /var/lib/postgresql --no-create-home --shell /bin/bash "$SERVER_USER" ||
        die "useradd could not create $SERVER_USER"
}

# Runs a command as the server's user, in a folder that this user can enter.
as_server_user() {
    if is_root; then
        (cd / && exec setpriv --reuid="$SERVER_USER" --regid="$(id -g "$SERVER_USER")" --init-groups \
            env HOME=/ USER="$SERVER_USER" LOGNAME="$SERVER_USER" "$@")
    else
        "$@"
    fi
}

# Everybody with a password of the demo can be the server's user (COPY .. TO PROGRAM). So root follows no name that this user
# can change: in folders where it may, everything is done as that user. Says whether it may change what a path leads to.
server_user_may_change() {
    local folder
    is_root || return 1
    folder=$(cd -P "$(dirname "$1")" 2>/dev/null && pwd) || folder=$(dirname "$1")
    while :; do
        # In a sticky folder, such as /tmp, nobody moves what is another's.
        if [ -d "$folder" ] && as_server_user test -O "$folder"; then return 0; fi
        if [ -d "$folder" ] && [ ! -k "$folder" ] && as_server_user test -w "$folder"; then return 0; fi
        [ "$folder" != / ] && [ "$folder" != . ] || return 1
        folder=$(dirname "$folder")
    done
}

# STATE_DIR holds everything that is unpacked, built for ourselves or run; the demo's data and settings are in a folder of it
# unless DEMO_DIR names another. The server's user must reach it, and a socket in it must fit into the 107 bytes that the
# kernel allows.
usable() {
    [ ${#1} -le 80 ] && make_folder "$1" && [ -w "$1" ] && as_server_user test -x "$1"
}

make_folder() {
    [ -d "$1" ] || if server_user_may_change "$1"; then as_server_user mkdir -p "$1"; else mkdir -p "$1"; fi 2>/dev/null
}

# Root's own programs and logs lie in STATE_DIR.
usable_as_state() {
    usable "$1" || return 1
    if server_user_may_change "$1/x"; then return 1; fi
}

USABLE_AS_STATE="cannot be used: it must be at most 80 characters long, writable, and reachable by the user $SERVER_USER"
if is_root; then USABLE_AS_STATE+=", who must not be able to change it"; fi

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }

choose_state_dir() {
    local own=$CHECKOUT/.state outside
    if [ -n "${STATE_DIR:-}" ]; then
        STATE_DIR=$(absolute "$STATE_DIR")
        usable_as_state "$STATE_DIR" || die "STATE_DIR=$STATE_DIR $USABLE_AS_STATE"
        return
    fi
    if is_root; then outside=/var/lib/operations_ext; else outside=${XDG_STATE_HOME:-$HOME/.local/state}/operations_ext; fi
    outside=$outside/$(printf '%s' "$CHECKOUT" | cksum | cut -d' ' -f1)
    if usable_as_state "$own"; then
        STATE_DIR=$own
    else
        rmdir "$own" 2>/dev/null || true
        usable_as_state "$outside" ||
            die "neither $own nor $outside can be used by the user $SERVER_USER: set STATE_DIR to a folder that can"
        STATE_DIR=$outside
    fi
}

# load PART...: sources other parts of this folder.
load() {
    local part
    for part; do
        # shellcheck source=/dev/null
        . "$CHECKOUT/native/$part.sh"
    done
}

ensure_server_user
choose_state_dir
export STATE_DIR SERVER_USER

# A folder in STATE_DIR, where nobody but root can put anything, that the server's user owns.
server_folder() {
    mkdir -p "$1"
    ! is_root || chown -h "$SERVER_USER:" "$1"
    chmod 755 "$1"
}
