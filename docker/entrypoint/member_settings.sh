#!/usr/bin/env bash
# Brings SYNC, where it is given, into the settings that Patroni keeps in etcd, once there is a cluster; without it they stay as patronictl
# has made them. WAL_LEVEL takes a restart of all servers, which is for their owner to say.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"

case $SYNC_GIVEN in
    on) wanted=true is_so='synchronous_mode: (true|quorum)' ;;
    off) wanted=false is_so='synchronous_mode: false' ;;
    *) wanted='' is_so='' ;;
esac
for ((attempt = 0; attempt < 300; attempt++)); do
    sleep 1
    kept=$(patronictl show-config operations 2>/dev/null) || continue
    [[ $kept == *synchronous_mode:* ]] || continue
    if ! [[ $kept =~ $is_so ]]; then
        patronictl edit-config --quiet --force --set synchronous_mode="$wanted" operations >/dev/null || continue
        say "SYNC=$SYNC_GIVEN: synchronous_mode is $wanted now"
    fi
    [[ $kept == *"wal_level: $WAL_LEVEL"* ]] ||
        say "WAL_LEVEL=$WAL_LEVEL is not heeded: patronictl edit-config --set postgresql.parameters.wal_level=$WAL_LEVEL; patronictl restart operations"
    exit 0
done
say "there was no cluster within 300 s: SYNC=$SYNC_GIVEN is not heeded"
