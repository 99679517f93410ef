# shellcheck shell=bash
# Sourced by the entrypoints: what both services do before PostgreSQL starts.
set -euo pipefail

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# A password may come from a file (a Compose secret): NAME_FILE stands for NAME, as in the official image.
# PostgreSQL's own three are left to the official entrypoint; this is for ours.
from_file() {
    local name=$1 file_name=$1_FILE
    [ -n "${!file_name:-}" ] || return 0
    [ -z "${!name:-}" ] || die "both $name and $file_name are set: leave one of them empty"
    [ -r "${!file_name}" ] || die "$file_name names ${!file_name}, which cannot be read"
    export "$name=$(<"${!file_name}")"
    unset "$file_name"
}
