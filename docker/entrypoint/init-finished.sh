#!/usr/bin/env bash
# The last of the init files, by its name also after those that somebody adds: from here on the database is whole. See primary.sh, and
# require_same_names in common.sh.
set -euo pipefail
for name in POSTGRES_USER POSTGRES_DB REPLICATION_USER; do
    printf '%s=%s\n' "$name" "${!name:-}"
done >"$PGDATA/operations.names"
sync "$PGDATA/operations.names" "$PGDATA/pg_hba.conf"
# From the next start on: nobody follows yet, and the init files would wait for ever.
if [ -n "${OPERATIONS_STANDBYS:-}" ]; then
    printf "synchronous_standby_names = '%s'\n" "$OPERATIONS_STANDBYS" >>"$PGDATA/postgresql.auto.conf"
    sync "$PGDATA/postgresql.auto.conf"
fi
rm -f "$PGDATA.initialising"
sync "$(dirname "$PGDATA")"
