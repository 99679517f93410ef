#!/usr/bin/env bash
# Lets the replication user in, from REPLICATION_ALLOW: samenet (the server's own networks) or a range such as 0.0.0.0/0.
# "all" in pg_hba.conf does not match replication, so this needs a line of its own. The server of the init reads it no more: it
# has another listen_addresses, and a reload would call that an error.
set -euo pipefail

user=${REPLICATION_USER:-replicator}
line="host replication \"${user//\"/\"\"}\" ${REPLICATION_ALLOW:-samenet} scram-sha-256"

if ! grep -qxF -- "$line" "$PGDATA/pg_hba.conf"; then
    printf '\n# docker/init_main/08_pg_hba_replication.sh\n%s\n' "$line" >>"$PGDATA/pg_hba.conf"
fi
