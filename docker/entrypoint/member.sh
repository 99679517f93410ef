#!/usr/bin/env bash
# Runs a server under Patroni: see docker/compose.ha.yaml. Patroni makes, starts, promotes and rewinds the data; here it is told how, and
# kept from what is no whole database.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
[ -z "${OPERATIONS_WORKERS:-}" ] || refuse "docker/compose.ha.yaml and docker/compose.citus.yaml do not go together: leave one of them away"
here=$(dirname "$(readlink -f "$0")")
volume=/var/lib/postgresql/data
config=$PATRONICTL_CONFIG_FILE

# docker compose run, for a look: it touches no data.
[ "${1:-}" = patroni ] || exec "$@"

for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS REPLICATION_PASSWORD LAB_PASSWORD; do from_file "$name"; done
if [ "$(id -u)" = 0 ]; then install -d -o postgres -g postgres -m 700 "$(dirname "$config")"; fi
go_on_as_postgres "$volume" "$@"
require_wal_level
require_insert_batch
# Empty: as the cluster has it, and off where there is none yet.
export SYNC_GIVEN=${SYNC:-}
require_switch SYNC
for name in POSTGRES_PASSWORD REPLICATION_PASSWORD; do
    [ -n "${!name:-}" ] || refuse "$name is not set"
    # Patroni puts it between $$, and reads it from YAML.
    [[ ${!name} != *'$$'* && ${!name} != *[[:cntrl:]]* ]] || refuse "$name has \$\$ or a control character in it, which Patroni does not take"
done

# The first one makes the cluster; each of the others takes a number, and with it a folder, as replicas do without Patroni. Descriptor 9
# holds the folder for as long as Patroni lives.
if [ -n "${OPERATIONS_MEMBER:-}" ]; then
    PGDATA=$volume/primary lock=$volume/primary.lock
    hold "$lock" || die "another container runs $OPERATIONS_MEMBER on this volume"
else
    take_number "$volume"
    PGDATA=$volume/replica_$number OPERATIONS_MEMBER=postgres_replica_$number
fi
export PGDATA OPERATIONS_MEMBER
hostname >"$PGDATA.host"
[ ! -e "$PGDATA" ] || [ -e "$PGDATA.patroni" ] ||
    refuse "the data in the volume were made without Patroni: leave docker/compose.ha.yaml away, or take another project name"
: >"$PGDATA.patroni"

# shellcheck source=member_etcd.sh
. "$here/member_etcd.sh"
log_in_to_etcd
initialised=/service/operations/initialize
made() { etcdctl --command-timeout=5s get --print-value-only "$initialised" 2>/dev/null; }

# What a first start that was cut short has left was never served to anyone.
if [ -e "$PGDATA.initialising" ]; then
    start_over
    rm -f "$PGDATA.initialising"
fi
require_same_names
if [ ! -e "$PGDATA" ] && [ "$OPERATIONS_MEMBER" = postgres_primary ]; then
    until found=$(made); do sleep 1; done
    if [ -z "$found" ]; then
        ! compgen -G '/servers/replica/replica_*/PG_VERSION' >/dev/null ||
            refuse "there are replicas with data, and neither data here nor a cluster in etcd: not making another cluster beside them; docs/patroni.md"
        # Patroni's note that somebody is at it would stay for ever.
        etcdctl --command-timeout=5s del "$initialised" >/dev/null 2>&1
    fi
elif [ ! -e "$PGDATA" ]; then
    # Patroni would let whoever comes first make the cluster, and the others lack what that takes.
    for ((waited = 0; ; waited++)); do
        if found=$(made) && [ -n "$found" ]; then break; fi
        [ $((waited % 10)) != 0 ] || say "waiting until postgres_primary has made the cluster"
        sleep 1
    done
fi

(umask 077 && "$here/member_config.sh" >"$config.new")
mv "$config.new" "$config"
# Of the container's first process, as what becomes of this script would not bury them.
( ("$here/member_settings.sh" &) 9<&-)
( ("$here/member_watch.sh" "$$" "$lock" &) 9<&-)
say "$OPERATIONS_MEMBER: data in $PGDATA"
exec patroni "$config"
