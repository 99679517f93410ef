#!/usr/bin/env bash
# Starts the primary: the official entrypoint, except that a first start which died half-way is done over. The official
# one takes any folder with a PG_VERSION for a whole database.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# Secrets may be root's to read alone.
for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS REPLICATION_PASSWORD; do from_file "$name"; done

go_on_as_postgres "$(dirname "$PGDATA")" "$@"

# Stands beside PGDATA from before initdb until the last init file has run. What such a folder holds was never served to
# anyone, so it may go.
mark=$PGDATA.initialising
if [ -e "$mark" ]; then
    say "the first start was cut short: making the database anew"
    rm -rf "$PGDATA"
elif [ -d "$PGDATA" ] && [ ! -s "$PGDATA/PG_VERSION" ] && [ -n "$(ls -A "$PGDATA")" ]; then
    die "$PGDATA holds files but no database: empty the volume, or take another one"
fi
if [ ! -e "$PGDATA" ]; then
    : >"$mark"
    sync "$(dirname "$PGDATA")"
fi
exec docker-entrypoint.sh "$@"
