#!/usr/bin/env bash
# make psql, make psql-replica: a session on the primary or the replica, from a terminal or from a pipe.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load settings servers

server=${1:-primary}
load_settings
if ! use_made_postgres || ! running "$server"; then die "the $server is not running: make demo starts it"; fi
client_environment "$server"
exec "$PG_BIN/psql" --no-password
