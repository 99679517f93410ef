#!/usr/bin/env bash
# Runs a server under Patroni: see docker/compose.ha.yaml. Patroni makes, starts, promotes and rewinds the data; here it is told how, and
# kept from what is no whole database.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
here=$(dirname "$(readlink -f "$0")")
volume=/var/lib/postgresql/data
config=$PATRONICTL_CONFIG_FILE

for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS REPLICATION_PASSWORD LAB_PASSWORD; do from_file "$name"; done
if [ "$(id -u)" = 0 ]; then install -d -o postgres -g postgres -m 700 "$(dirname "$config")"; fi
go_on_as_postgres "$volume" "$@"
require_wal_level
require_insert_batch
require_switch SYNC
: "${POSTGRES_PASSWORD:?is not set}" "${REPLICATION_PASSWORD:?is not set}"

# The first one makes the cluster; each of the others takes a number, and with it a folder, as replicas do without Patroni.
if [ -n "${OPERATIONS_MEMBER:-}" ]; then
    PGDATA=$volume/primary
else
    take_number "$volume"
    PGDATA=$volume/replica_$number OPERATIONS_MEMBER=postgres_replica_$number
fi
export PGDATA OPERATIONS_MEMBER

# For the lab: where the server is reached, and that its container runs. Of the container's first process, as what becomes of this script
# would not bury it.
hostname >"$PGDATA.host"
( (while touch "$PGDATA.host" && sleep 2; do :; done) 9<&- & )

in_etcd() { etcdctl --command-timeout=5s "$@"; }
initialised=/service/operations/initialize

# What a first start that was cut short has left was never served to anyone. Patroni's note that somebody is at it would stay for ever.
if [ -e "$PGDATA.initialising" ]; then
    say "the first start was cut short: making the database anew"
    until found=$(in_etcd get --print-value-only "$initialised" 2>&1); do
        say "waiting for etcd: ${found##*$'\n'}"
        sleep 1
    done
    [ -n "$found" ] || in_etcd del "$initialised" >/dev/null
    rm -rf "$PGDATA"
    rm -f "$PGDATA.initialising"
fi
[ ! -e "$PGDATA" ] || [ -e "$PGDATA.patroni" ] ||
    refuse "the data in the volume were made without Patroni: leave docker/compose.ha.yaml away, or take another project name"
require_same_names
: >"$PGDATA.patroni"

# Patroni would let whoever comes first make the cluster, and the others lack what that takes.
if [ ! -e "$PGDATA" ] && [ "$OPERATIONS_MEMBER" != postgres_primary ]; then
    waited=0
    until found=$(in_etcd get --print-value-only "$initialised" 2>&1) && [ -n "$found" ]; do
        [ $((waited++ % 10)) != 0 ] || say "waiting until postgres_primary has made the cluster"
        sleep 1
    done
fi

(umask 077 && "$here/member_config.sh" >"$config.new")
mv "$config.new" "$config"
( ("$here/member_settings.sh" &) 9<&-)
say "$OPERATIONS_MEMBER: data in $PGDATA"
exec patroni "$config"
