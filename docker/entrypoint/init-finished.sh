#!/usr/bin/env bash
# The last of the init files: from here on the database is whole. See primary.sh, and require_same_names in common.sh.
set -euo pipefail
for name in POSTGRES_USER POSTGRES_DB REPLICATION_USER; do
    printf '%s=%s\n' "$name" "${!name:-}"
done >"$PGDATA/operations.names"
sync "$PGDATA/operations.names"
rm -f "$PGDATA.initialising"
sync "$(dirname "$PGDATA")"
