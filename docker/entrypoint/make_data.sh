#!/usr/bin/env bash
# Makes data as the official entrypoint does, and in them the database. Called at the first start of a worker of Citus, and by Patroni at
# that of a cluster.
set -euo pipefail
# Stands beside PGDATA until all of the first start is done: see worker.sh, member.sh and init-finished.sh.
: >"$PGDATA.initialising"
sync "$(dirname "$PGDATA")"
PATH=$(dirname "$(readlink -f "$0")")/first_start:$PATH
# A string of words as a shell reads them, as in the official image.
arguments=()
eval "arguments=(${POSTGRES_INITDB_ARGS:-})"
initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"
