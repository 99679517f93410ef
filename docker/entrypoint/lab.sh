#!/usr/bin/env bash
# Runs the lab beside the servers: the client of the receipt, which always writes, and the live page. The other commands are run
# by docker compose exec lab operations-lab ..
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

folder=/var/lib/operations
for name in POSTGRES_PASSWORD REPLICATION_PASSWORD LAB_PASSWORD; do from_file "$name"; done

# For psql, which docker compose exec runs as root.
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$(dirname "$PGPASSFILE")"
    (umask 077 && login "$POSTGRES_USER" "$POSTGRES_PASSWORD" >"$PGPASSFILE")
fi
go_on_as_postgres "$folder" "$@"

mkdir -p "$folder/receipt"
cd "$folder/receipt"
operations-lab receipt --write &
receipt=$!
page=
if [ -n "${LAB_PASSWORD:-}" ]; then
    # It may only look, and needs no other password.
    env -u POSTGRES_PASSWORD -u REPLICATION_PASSWORD operations-lab serve &
    page=$!
fi
trap 'kill "$receipt" $page 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM
# If one of the two ends, the container does, and Docker starts both anew.
wait -n || true
die "the receipt's client or the page has ended: see the lines above"
