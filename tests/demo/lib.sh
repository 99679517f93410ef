# shellcheck shell=bash disable=SC2016,SC2154
# What the checks share: the demo's environment, running make and looking at what it printed.

# Awkward on purpose: every character that some file or shell treats as special.
export POSTGRES_PASSWORD='top:se\cret'\''"$HOME 1' REPLICATION_PASSWORD='wal:se\cret'\''"$HOME 2'
export OPERATIONS_TEST_ROWS=20000

# Short, since sockets lie in it, and open to the server's user.
prepare() {
    : "${PG_CONFIG:?is not set: run the checks through make test}"
    work=$(mktemp -d /tmp/operations_demo.XXXXXX)
    chmod 755 "$work"
    export DEMO_DIR=$work/demo
    unset POSTGRES_USER POSTGRES_DB REPLICATION_USER POSTGRES_PASSWORD_FILE REPLICATION_PASSWORD_FILE REPLICA_RECLONE
    PRIMARY_PORT=$(a_free_port)
    until REPLICA_PORT=$(a_free_port) && [ "$REPLICA_PORT" != "$PRIMARY_PORT" ]; do :; done
    export PRIMARY_PORT REPLICA_PORT
    demo=$DEMO_DIR
    : >"$work/commands"
}

clean_up() {
    set +e
    [ -z "${watcher:-}" ] || kill "$watcher" 2>/dev/null
    make_demo clean >/dev/null 2>&1
    rm -rf "$work"
}

a_free_port() {
    local port
    while port=$((21000 + RANDOM % 9000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

# make as a user types it; remembers which targets were tried.
make_demo() {
    printf '%s\n' "$1" >>"$work/commands"
    make --no-print-directory -C "$checkout" "$@"
}

# succeeds TARGET [VARIABLE=..]: prints and keeps what make printed.
succeeds() {
    make_demo "$@" >"$work/output" 2>&1 </dev/null || { cat "$work/output"; echo "make $* failed"; return 1; }
    cat "$work/output"
}

fails() {
    if make_demo "$@" >"$work/output" 2>&1 </dev/null; then cat "$work/output"; echo "make $* succeeded"; return 1; fi
    cat "$work/output"
}

# What cannot be tested on this machine is said, by name.
skip() {
    echo "$*"
    exit 77
}

# What the last make printed has this text in one line; or has not.
printed() { grep -qF -- "$1" "$work/output" || { echo "not printed: $1"; return 1; }; }
not_printed() { ! grep -nF -- "$1" "$work/output" || { echo "printed: $1"; return 1; }; }

on() { printf '%s\n' "$2" | make_demo "psql$1"; }
on_primary() { on '' "\\pset tuples_only
\\pset format unaligned
$1" | tail -n +3; }
on_replica() { on -replica "\\pset tuples_only
\\pset format unaligned
$1" | tail -n +3; }

# becomes WANTED SECONDS COMMAND...: until the command prints that.
becomes() {
    local wanted=$1 limit=$2 deadline=$((SECONDS + $2)) got
    shift 2
    while got=$("$@" 2>&1) && [ "$got" != "$wanted" ]; do
        [ $SECONDS -lt $deadline ] || { echo "after $limit s: $* prints $got, not $wanted"; return 1; }
        sleep 0.3
    done
}

pid_of() { head -n 1 "$demo/$1/postmaster.pid"; }

# Processes at work in a folder of the demo, by their numbers.
processes_in() {
    local process
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd" 2>/dev/null || true) in "$demo/$1"*) echo "${process#/proc/}" ;; esac
    done
}
no_server_left() { [ -z "$(processes_in '')" ]; }
system_id() { on_primary 'SELECT system_identifier FROM pg_control_system();'; }
