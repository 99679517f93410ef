#!/usr/bin/env bash
# Starts a worker of Citus: see docker/compose.citus.yaml. It begins with an empty database; the coordinator makes there what it needs.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# Where there is a file, the other one is the default of docker/compose.citus.yaml.
[ -z "${POSTGRES_PASSWORD_FILE:-}" ] || POSTGRES_PASSWORD=
from_file POSTGRES_PASSWORD
go_on_as_postgres "$(dirname "$PGDATA")" "$@"
[ -n "${POSTGRES_PASSWORD:-}" ] || refuse "POSTGRES_PASSWORD is not set"

# A second container on the volume would take the first one's start for one that was cut short.
hold "$PGDATA.server" || die "another container has this volume"
[ ! -e "$PGDATA.initialising" ] || start_over
if [ -s "$PGDATA/PG_VERSION" ]; then
    require_same_names
else
    "$(dirname "$0")/make_data.sh"
    printf '\n# docker/entrypoint/worker.sh\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    for name in POSTGRES_USER POSTGRES_DB; do
        printf '%s=%s\n' "$name" "${!name}"
    done >"$PGDATA/operations.names"
    sync "$PGDATA/pg_hba.conf" "$PGDATA/operations.names"
    rm -f "$PGDATA.initialising"
    sync "$(dirname "$PGDATA")"
fi
# Between the workers, which copy shards from each other.
log_in_to_workers
exec "$@"
