#!/usr/bin/env bash
# Lets the replication user in, from REPLICATION_ALLOW: samenet (the server's own networks) or a range such as 0.0.0.0/0.
# "all" in pg_hba.conf does not match replication, so this needs a line of its own.
set -euo pipefail

user=${REPLICATION_USER:-replicator}
line="host replication \"${user//\"/\"\"}\" ${REPLICATION_ALLOW:-samenet} scram-sha-256"

if ! grep -qxF -- "$line" "$PGDATA/pg_hba.conf"; then
    printf '\n# docker/init_main/08_pg_hba_replication.sh\n%s\n' "$line" >>"$PGDATA/pg_hba.conf"
fi
psql --no-psqlrc --no-password --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --output /dev/null --command 'select pg_catalog.pg_reload_conf()'
