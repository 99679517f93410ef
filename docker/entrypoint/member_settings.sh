#!/usr/bin/env bash
# Brings SYNC of this start into the settings that Patroni keeps in etcd, once there is a cluster. WAL_LEVEL takes a restart of all servers,
# which is for their owner to say.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

case $SYNC in on) wanted=true ;; *) wanted=false ;; esac
for ((attempt = 0; attempt < 300; attempt++)); do
    sleep 1
    kept=$(patronictl show-config operations 2>/dev/null) || continue
    [[ $kept == *synchronous_mode:* ]] || continue
    if [[ $kept != *"synchronous_mode: $wanted"* ]]; then
        patronictl edit-config --quiet --force --set synchronous_mode="$wanted" operations >/dev/null || continue
        say "SYNC=$SYNC: synchronous_mode is $wanted now"
    fi
    [[ $kept == *"wal_level: $WAL_LEVEL"* ]] ||
        say "WAL_LEVEL=$WAL_LEVEL is not heeded: patronictl edit-config --set postgresql.parameters.wal_level=$WAL_LEVEL; patronictl restart operations"
    exit 0
done
say "SYNC=$SYNC is not heeded: there was no cluster within 300 s"
