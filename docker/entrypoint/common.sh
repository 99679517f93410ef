# shellcheck shell=bash
# Sourced by the entrypoints: what both services do before PostgreSQL starts.
set -euo pipefail

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# A password may come from a file (a Compose secret): NAME_FILE stands for NAME, as in the official image.
from_file() {
    local name=$1 file_name=$1_FILE
    [ -n "${!file_name:-}" ] || return 0
    [ -z "${!name:-}" ] || die "both $name and $file_name are set: leave one of them empty"
    [ -r "${!file_name}" ] || die "$file_name names ${!file_name}, which cannot be read"
    export "$name=$(<"${!file_name}")"
    unset "$file_name"
}

# go_on_as_postgres VOLUME ARGUMENT...: starts this script anew as the server's user. Whoever has a password of the demo can be
# that user, so root does nothing in the volume but hand over its top folder, which is a mount point and cannot be replaced.
go_on_as_postgres() {
    [ "$(id -u)" = 0 ] || return 0
    mkdir -p "$1"
    chown -h postgres: "$1"
    shift
    exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/var/lib/postgresql "$0" "$@"
}
