#!/usr/bin/env bash
# Watches Patroni, whose process id is the first argument; touches the lock, the second, and the note for the lab that the container runs.
# Patroni gives up the lead when it does not reach etcd, unless it hangs, or waits too long for a name server. Then its key runs out,
# another server is promoted, and nobody else ends this one: its container is ended before.
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "$0")/common.sh"
patroni=$1 lock=$2
# The key lives for 20 s (ttl) from when Patroni has last reached etcd. By itself Patroni has given up after 11: loop_wait, retry_timeout.
PATIENCE=14
SILENCE=8

answer() {
    timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/8008 && printf "GET /patroni HTTP/1.0\r\n\r\n" >&3 && cat <&3' 2>/dev/null
}

takes_writes() {
    [ "$(timeout 2 psql --no-psqlrc -qAt -h /var/run/postgresql -U "$POSTGRES_USER" -d postgres -c 'select pg_is_in_recovery()' 2>/dev/null)" = f ]
}

heard='' seen='' paused=''
while touch "$lock" "$PGDATA.host" && sleep 1; do
    if said=$(answer) && [[ $said =~ \"dcs_last_seen\":\ ([0-9]+) ]]; then
        heard=$SECONDS seen=${BASH_REMATCH[1]} paused=
        [[ $said != *'"pause": true'* ]] || paused=1
    fi
    # In a pause nobody is promoted.
    if [ -z "$heard" ] || [ "$seen" = 0 ] || [ -n "$paused" ]; then continue; fi
    ago=$(($(date +%s) - seen)) silent=$((SECONDS - heard))
    if [ "$ago" -ge "$PATIENCE" ] || [ "$silent" -ge "$SILENCE" ]; then
        takes_writes || continue
        say "Patroni was heard $silent s ago, and has reached etcd $ago s ago, and its server takes writes: ending the container, before another server is promoted"
        kill -KILL "$patroni"
    fi
done
