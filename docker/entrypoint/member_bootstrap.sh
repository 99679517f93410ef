#!/usr/bin/env bash
# Makes the data of a cluster under Patroni, as the official entrypoint does, and in them the database. Called by Patroni at the first start.
set -euo pipefail
# Stands beside PGDATA until the last init file has run: see member.sh and init-finished.sh.
: >"$PGDATA.initialising"
sync "$(dirname "$PGDATA")"
PATH=$(dirname "$(readlink -f "$0")")/first_start:$PATH
# A string of words as a shell reads them, as in the official image.
arguments=()
eval "arguments=(${POSTGRES_INITDB_ARGS:-})"
initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"
