#!/usr/bin/env bash
# Starts the primary: the official entrypoint, except that a first start which died half-way is done over (the official one takes
# any folder with a PG_VERSION for a whole database), and that a stop is heeded at once, whatever it is at.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# Secrets may be root's to read alone.
for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS REPLICATION_PASSWORD LAB_PASSWORD; do from_file "$name"; done

go_on_as_postgres "$(dirname "$PGDATA")" "$@"

require_wal_level
require_insert_batch
require_switch SYNC
require_no_sync_on_citus
require_without_patroni
log_in_to_workers
# It starts this script again, as soon as this server may be opened.
[ -n "${OPERATIONS_NODE:-}" ] || exec operations-lab node --data "$PGDATA" -- "$0" "$@"

# An old primary, which follows another one.
if [ -e "$PGDATA/standby.signal" ] || [ -n "${OPERATIONS_FOLLOWS:-}" ]; then
    require_same_names
    export REPLICATION_SLOT=postgres_primary
    exec replica-entrypoint.sh "$@"
fi

rows=${OPERATIONS_TEST_ROWS:-0}
if ! [[ $rows =~ ^[0-9]{1,11}$ ]] || [ "$rows" -gt 10000000000 ]; then
    refuse "OPERATIONS_TEST_ROWS=$rows is no number of rows: give a whole number from 0 to 10000000000"
fi

# Stands beside PGDATA from before initdb until the last init file has run. What such a folder holds was never served to
# anyone, so it may go.
mark=$PGDATA.initialising
if [ -e "$mark" ]; then
    start_over
elif [ -d "$PGDATA" ] && [ ! -s "$PGDATA/PG_VERSION" ] && [ -n "$(ls -A "$PGDATA")" ]; then
    die "$PGDATA holds files but no database: empty the volume, or take another one"
fi
if [ -s "$PGDATA/PG_VERSION" ]; then
    require_same_names
else
    : >>"$mark"
    sync "$(dirname "$PGDATA")"
    # shellcheck source=workers.sh
    [ -z "${OPERATIONS_WORKERS:-}" ] || . "$(dirname "$0")/workers.sh"
fi

# Stops the server between two runs of its jobs: a run that is cut short is recorded as failed. The signal is sent again until the server is
# gone, since docker-entrypoint.sh may let one pass. Where the server does not answer it is sent all the same; both limits are above the 10 s
# of stop_between_runs.sql.
stop_server() {
    SIGNAL=$1 SERVER=$server PGPASSWORD=${POSTGRES_PASSWORD:-} PGOPTIONS='-c statement_timeout=12s' timeout 15 \
        psql --no-psqlrc --no-password -qAt -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-postgres}" \
        -f "$(dirname "$0")/stop_between_runs.sql" >/dev/null 2>&1 || true
    while kill -"$1" "$server" 2>/dev/null; do sleep 1; done
}

# shellcheck disable=SC2317 # traps call it
on_signal() {
    signalled=1
    if [ -e "$mark" ]; then
        say "stopped in the middle of the first start: the next one begins anew"
        kill -KILL -- -"$server"
        exit 130
    fi
    stop_server "$1" &
}

# A job of its own is a group of processes, and heeds SIGINT.
set -m
PATH=$(readlink -f "$(dirname "$0")")/first_start:$PATH docker-entrypoint.sh "$@" &
server=$!
trap 'on_signal INT' INT
trap 'on_signal TERM' TERM
trap 'signalled=1; kill -HUP "$server" 2>/dev/null || true' HUP
while :; do
    signalled='' status=0
    wait "$server" || status=$?
    [ -z "$signalled" ] || continue
    # Suspended, not ended: see wait_for in replica-entrypoint.sh.
    case $status in
        14[789] | 150) sleep 1 || true ;;
        *) exit "$status" ;;
    esac
done
