# shellcheck shell=bash disable=SC2034
# Sourced after settings.sh and postgres.sh: starting, stopping and asking the demo's two servers.

SLOT=operations_replica
RUN=$DEMO/run # sockets

pg_ctl() { as_server_user "$PG_BIN/pg_ctl" "$@"; }

# Whether a process is at work in a data folder. pg_ctl takes any process of that number for the server, also one that is
# dead and not yet buried, or that got the number after a restart of the machine; a postmaster's working folder is the data.
works_in() {
    if [ -d /proc/self/cwd ]; then [ "/proc/$1/cwd" -ef "$2" ]; else kill -0 "$1" 2>/dev/null; fi
}
runs_on() { [ -s "$1/postmaster.pid" ] && works_in "$(head -n 1 "$1/postmaster.pid")" "$1"; }
running() { runs_on "$DEMO/$1"; }

# The server refuses to start on the locks of one that was killed, for as long as there is a process of that number.
clear_stale_lock() {
    local data=$1 process deadline=$((SECONDS + 30))
    if [ ! -d /proc/self/cwd ] || runs_on "$data"; then return 0; fi
    for process in /proc/[0-9]*; do
        while works_in "${process#/proc/}" "$data"; do
            [ $SECONDS -lt $deadline ] || die "process ${process#/proc/} of a server that was killed still works in $data: end it"
            sleep 0.1
        done
    done
    rm -f "$data/postmaster.pid" "$RUN/.s.PGSQL.$2" "$RUN/.s.PGSQL.$2.lock"
}

port_of() { if [ "$1" = primary ]; then echo "$PRIMARY_PORT"; else echo "$REPLICA_PORT"; fi; }

psql_on() {
    local server=$1
    shift
    PGPASSFILE=$DEMO/pgpass PGCONNECT_TIMEOUT=5 PGOPTIONS='-c statement_timeout=20s' \
        "$PG_BIN/psql" --no-psqlrc --no-password --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 \
        --host 127.0.0.1 --port "$(port_of "$server")" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

# ask SERVER SQL: one row a line, columns parted by |.
ask() { psql_on "$1" --command "$2"; }
ask_file() { psql_on "$1" --file "$2"; }

# The pg_cron of this server, if it has one.
pg_cron_version() {
    local control
    control=$("$PG_CONFIG" --sharedir)/extension/pg_cron.control
    [ ! -e "$control" ] || sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$control"
}

# Sets SCHEDULER: the settings that make pg_cron, or else the extension's worker, run the jobs of our database.
choose_scheduler() {
    local version
    version=$(pg_cron_version)
    SCHEDULER=(shared_preload_libraries=operations_ext "operations_ext.database=$POSTGRES_DB")
    [ -n "$version" ] || return 0
    if [ "$(printf '1.5\n%s\n' "$version" | sort -V | head -n 1)" != 1.5 ]; then
        say "This server's pg_cron $version is too old (1.5 knows seconds), so the extension's own worker runs the jobs"
        return
    fi
    SCHEDULER=("shared_preload_libraries=pg_cron,operations_ext" "cron.database_name=$POSTGRES_DB")
}

# pg_ctl hands the options to a shell.
options_line() {
    local setting line=
    for setting; do line+=" -c $(quoted "$setting")"; done
    printf '%s' "$line"
}

server_settings() {
    SERVER_SETTINGS=("config_file=$DEMO/docker/postgresql.conf" "unix_socket_directories=$RUN" "cluster_name=operations_$1"
        "port=$(port_of "$1")" "listen_addresses=127.0.0.1")
}

# The reason in what the log has gained since the last start.
why_not_started() { tail -c "+$LOG_FROM" "$1" 2>/dev/null | grep -E '(FATAL|PANIC|ERROR):' | tail -n 1 | sed -E 's/.*(FATAL|PANIC|ERROR): */\1: /'; }

# start_server NAME DATA SETTING...: starts and waits until it takes connections.
start_server() {
    local name=$1 data=$2 log=$DEMO/$1.log
    shift 2
    if [ -e "$log" ] && [ "$(stat -c %s "$log")" -gt 20000000 ]; then mv "$log" "$log.1"; fi
    server_settings "$name"
    clear_stale_lock "$data" "$(port_of "$name")"
    LOG_FROM=$(($(stat -c %s "$log" 2>/dev/null || echo 0) + 1))
    pg_ctl start -s -w -t 120 -D "$data" -l "$log" -o "$(options_line "${SERVER_SETTINGS[@]}" "$@")" >/dev/null 2>&1
}

# stop_server NAME [DATA]: fast, and the hard way when that takes too long.
stop_server() {
    local name=$1 data=${2:-$DEMO/$1}
    runs_on "$data" || return 0
    pg_ctl stop -s -m fast -t 30 -D "$data" >/dev/null 2>&1 && return
    runs_on "$data" || return 0
    warn "The $name did not stop within 30 s: stopping it at once (it will recover at its next start)"
    pg_ctl stop -s -m immediate -t 30 -D "$data" >/dev/null 2>&1 || die "the $name does not stop: see $DEMO/$name.log"
}

stop_demo() {
    local name stopped=
    for name in replica primary; do
        if running "$name"; then
            stop_server "$name"
            stopped+=" $name"
        fi
    done
    stop_server primary "$DEMO/primary.new"
    if [ -n "$stopped" ]; then say "Stopped:$stopped"; else say "The demo is not running"; fi
}

# Programs of a demo that was made before; nothing is installed for the sake of stopping or looking.
use_made_postgres() {
    PG_BIN=$(cat "$STATE_DIR/pg/real_bin" 2>/dev/null) && [ -x "$PG_BIN/pg_ctl" ]
}

lock_demo() {
    have flock || return 0
    exec 9>"$DEMO.lock"
    flock -w "${1:-1}" 9 || die "another make is at work on this demo: wait until it is done"
}
