#!/usr/bin/env bash
# Starts a replica. All replicas share one volume; each takes the first number there that no other holds, and with it a
# folder and a replication slot of its own. So `--scale` needs no names, and a restart finds its old data again.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

# The superuser's is for the day on which it was the primary: see operations-lab node.
for name in POSTGRES_PASSWORD REPLICATION_PASSWORD LAB_PASSWORD; do from_file "$name"; done

volume=/var/lib/postgresql/data
go_on_as_postgres "$volume" "$@"
require_wal_level
require_insert_batch
require_switch SYNC
require_no_sync_on_citus
log_in_to_workers

take_number "$volume"
export PGDATA=$volume/replica_$number REPLICATION_SLOT=${REPLICATION_SLOT:-postgres_replica}_$number

# For forget-replica: when this replica was there last. Ends with the container.
(while touch "$lock" && sleep 20; do :; done) 9<&- &

for other in "$volume"/replica_*.lock; do
    if [ "$other" != "$lock" ] && [ -d "${other%.lock}" ] && ! is_held "$volume" "$other"; then
        say "${other%.lock} is of a replica that is away; if it left for good: docker compose exec postgres_replica forget-replica"
    fi
done
require_without_patroni
require_same_names
say "replica $number: data in $PGDATA, slot $REPLICATION_SLOT"
exec operations-lab node --data "$PGDATA" -- replica-entrypoint.sh "$@"
