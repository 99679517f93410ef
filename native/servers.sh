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
# The server's user may write anything there.
postmaster_of() { as_server_user head -n 1 "$1/postmaster.pid" 2>/dev/null | grep -xE '[0-9]{1,10}'; }
runs_on() {
    local process
    process=$(postmaster_of "$1") && works_in "$process" "$1"
}
running() { runs_on "$DEMO/$1"; }
size_of() { as_server_user stat -c %s "$1" 2>/dev/null || echo 0; }

# hold_data NAME COMMAND...: runs what starts a server, with a lock on NAME.lock that all processes of the server inherit. It is
# held for as long as one of them lives, and seen from every container that shares the folder, which their numbers are not.
hold_data() {
    local name=$1
    shift
    # shellcheck disable=SC2016 # the inner shell expands these
    as_server_user sh -c '[ -e "$1" ] || (umask 077 && : >>"$1") || exit 1
        if command -v flock >/dev/null; then exec 8<"$1" && flock -n 8 || exit 1; fi
        shift
        exec "$@"' sh "$DEMO/$name.lock" "$@"
}

# Which server took the lock: what its postmaster.pid says of its number and its start.
remember_start() {
    # shellcheck disable=SC2016
    as_server_user sh -c 'sed -n "1p;3p" "$2/postmaster.pid" >"$1"' sh "$DEMO/$1.lock" "$2" || true
}

# The server refuses to start on the postmaster.pid of one that was killed, for as long as there is another process of
# that number. PostgreSQL cannot tell the two apart; we can, if the dead one was ours: no process holds its lock.
clear_stale_lock() {
    local name=$1 data=$2 status=0
    have flock || return 0
    # shellcheck disable=SC2016
    as_server_user sh -c '
        [ -e "$1" ] || exit 0
        exec 8<"$1" && flock -w 30 8 || exit 75
        [ -s "$1" ] && [ "$(sed -n "1p;3p" "$2/postmaster.pid" 2>/dev/null)" = "$(cat "$1")" ] || exit 0
        rm -f "$2/postmaster.pid"
        for socket in "$3"/.s.PGSQL.*.lock; do
            if [ "$(sed -n 1p "$socket" 2>/dev/null)" = "$(sed -n 1p "$1")" ]; then rm -f "$socket" "${socket%.lock}"; fi
        done' sh "$DEMO/$name.lock" "$data" "$RUN" || status=$?
    [ "$status" != 75 ] || die "another server, or what is left of one that was killed, is at work in $data: end it (fuser $DEMO/$name.lock)"
}

port_of() { if [ "$1" = primary ]; then echo "$PRIMARY_PORT"; else echo "$REPLICA_PORT"; fi; }

# Whom clients connect to, in the environment: the settings come from a file that the server's user can write, and an argument
# could be a connection string. A password is seen there by nobody else, and libpq reads no file for it.
client_environment() {
    export PGHOST=127.0.0.1 PGPORT PGUSER=$POSTGRES_USER PGPASSWORD=$POSTGRES_PASSWORD PGDATABASE=$POSTGRES_DB
    PGPORT=$(port_of "$1")
}

psql_on() (
    client_environment "$1"
    shift
    PGCONNECT_TIMEOUT=5 PGOPTIONS='-c statement_timeout=20s' exec \
        "$PG_BIN/psql" --no-psqlrc --no-password --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"
)

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
why_not_started() { as_server_user tail -c "+$LOG_FROM" "$1" 2>/dev/null | grep -E '(FATAL|PANIC|ERROR):' | tail -n 1 | sed -E 's/.*(FATAL|PANIC|ERROR): */\1: /'; }

# start_server NAME DATA SETTING...: starts and waits until it takes connections.
start_server() {
    local name=$1 data=$2 log=$DEMO/$1.log
    shift 2
    if [ "$(size_of "$log")" -gt 20000000 ]; then as_server_user mv -T "$log" "$log.1"; fi
    server_settings "$name"
    clear_stale_lock "$name" "$data"
    LOG_FROM=$(($(size_of "$log") + 1))
    hold_data "$name" "$PG_BIN/pg_ctl" start -s -w -t 120 -D "$data" -l "$log" \
        -o "$(options_line "${SERVER_SETTINGS[@]}" "$@")" >/dev/null 2>&1 || return 1
    remember_start "$name" "$data"
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

# The folder itself is what is locked: nothing has to be made or opened for writing. It may have been made anew meanwhile.
lock_demo() {
    have flock && [ -d "$DEMO" ] || return 0
    exec 9<"$DEMO"
    flock -w "${1:-1}" 9 || die "another make is at work on this demo: wait until it is done"
    [ /proc/self/fd/9 -ef "$DEMO" ] || die "another make has removed this demo: try again"
}
