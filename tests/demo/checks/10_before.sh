# shellcheck shell=bash disable=SC2154
# What make says when there is no demo yet, and when it cannot make one.

check_help_names_every_target() {
    local target
    make --no-print-directory -C "$checkout" >"$work/output"
    for target in demo status doctor psql stop clean test lint bench; do printed "make $target "; done
}

check_without_a_demo() {
    fails status
    printed "There is no demo yet (make demo makes it)"
    fails psql
    printed "error: the primary is not running: make demo starts it"
    fails psql-replica
    printed "error: the replica is not running: make demo starts it"
    succeeds stop
    printed "The demo is not running"
    succeeds clean
    printed "There is no demo data"
}

check_wrong_pg_config() {
    fails demo PG_CONFIG=/bin/false
    printed "error: PG_CONFIG=/bin/false cannot be used: it is not a pg_config that runs"
    printf '#!/bin/sh\necho PostgreSQL 15.3\n' >"$work/pg_config"
    chmod +x "$work/pg_config"
    fails demo PG_CONFIG="$work/pg_config"
    printed "cannot be used: it is of PostgreSQL 15.3, and PostgreSQL 16 is needed"
}

check_wrong_ports() {
    fails demo PRIMARY_PORT=http
    printed "error: PRIMARY_PORT=http is no port: give a number from 1024 to 65535"
    fails demo REPLICA_PORT="$PRIMARY_PORT"
    printed "error: PRIMARY_PORT and REPLICA_PORT are both $PRIMARY_PORT: make them differ"
}

check_taken_port() {
    local listener taken
    taken=$(a_free_port)
    python3 -c "import socket, time
s = socket.create_server(('127.0.0.1', $taken))
time.sleep(600)" &
    listener=$!
    until (exec 3<>"/dev/tcp/127.0.0.1/$taken") 2>/dev/null; do kill -0 $listener; done
    fails demo PRIMARY_PORT="$taken"
    printed "error: port $taken of 127.0.0.1, for the primary, is taken: stop what listens there, or move the demo: make demo PRIMARY_PORT="
    fails demo REPLICA_PORT="$taken"
    printed "make demo REPLICA_PORT="
    kill $listener
}

check_folder_of_somebody_else() {
    mkdir "$work/mine"
    touch "$work/mine/file"
    fails demo DEMO_DIR="$work/mine"
    printed "error: DEMO_DIR=$work/mine holds files but no demo: name a new or an empty folder"
    succeeds clean DEMO_DIR="$work/mine"
    [ -e "$work/mine/file" ]
}

check_unreadable_password_file() {
    fails demo POSTGRES_PASSWORD= POSTGRES_PASSWORD_FILE="$work/none"
    printed "error: POSTGRES_PASSWORD_FILE names $work/none, which cannot be read"
}
