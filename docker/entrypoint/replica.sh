#!/usr/bin/env bash
# Starts a replica. All replicas share one volume; each takes the first number there that no other holds, and with it a
# folder and a replication slot of its own. So `--scale` needs no names, and a restart finds its old data again.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

from_file REPLICATION_PASSWORD

volume=/var/lib/postgresql/data
go_on_as_postgres "$volume" "$@"

# Descriptor 9 stays open in the server that this script becomes, and holds the number for as long as it lives.
take_number() {
    for ((number = 1; number <= 32; number++)); do
        lock=$volume/replica_$number.lock
        [ -e "$lock" ] || : >"$lock"
        exec 9<"$lock"
        if flock --nonblock 9; then
            return
        fi
    done
    die "32 replicas hold this volume already"
}

take_number
export PGDATA=$volume/replica_$number REPLICATION_SLOT=${REPLICATION_SLOT:-postgres_replica}_$number
say "replica $number: data in $PGDATA, slot $REPLICATION_SLOT"
exec replica-entrypoint.sh "$@"
