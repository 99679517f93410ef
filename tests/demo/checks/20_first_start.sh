# shellcheck shell=bash disable=SC2154
# The first start: cut short, then whole; and what a user sees of a demo that lives.

check_init_that_was_cut_short() {
    local group
    OPERATIONS_TEST_ROWS=3000000 setsid make --no-print-directory -C "$checkout" demo >"$work/cut.log" 2>&1 </dev/null &
    group=$!
    becomes yes 600 eval "grep -q '02_schema.sql' '$work/cut.log' && echo yes || { kill -0 $group; echo no; }"
    kill -9 -- -"$group"
    [ -e "$demo/primary.new/PG_VERSION" ] && [ ! -e "$demo/primary" ]
    fails status
    printed "There is no demo yet"
}

# Every command line on the machine, every 50 ms, while the demo is made: none may hold a password.
watch_command_lines() {
    while :; do
        cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -aoE '(top|wal):s[e].{4}' >>"$work/seen" || true
        sleep 0.05
    done
}

check_demo_starts() {
    : >"$work/seen"
    watch_command_lines &
    local watcher=$!
    succeeds demo || { kill $watcher; return 1; }
    kill $watcher
    printed "An earlier start was cut short: removing its half-made primary and starting over"
    printed "03_test_data.sql"
    printed "127.0.0.1:$PRIMARY_PORT"
    printed "127.0.0.1:$REPLICA_PORT"
    [ ! -e "$demo/primary.new" ]
    [ ! -s "$work/seen" ] || { cat "$work/seen"; return 1; }
}

check_second_demo_says_so() {
    local began=$SECONDS
    succeeds demo
    printed "The demo is already running."
    [ $((SECONDS - began)) -le 5 ]
    succeeds demo PRIMARY_PORT="$(a_free_port)"
    printed "The primary already runs on port $PRIMARY_PORT"
}

check_status_of_a_live_demo() {
    succeeds status
    printed "running, PostgreSQL 16"
    printed "streaming, "
    printed "operations   20,0"
    printed "client_type_sum_mv: "
    printed "3 ahead of today"
    for job in operation_insert_one change_status operations_maintain_partitions operations_prune_job_history; do printed "$job"; done
    [ "$(wc -l <"$work/output")" -le 24 ]
}

check_doctor_of_a_live_demo() {
    succeeds doctor
    printed "ok"
    printed "127.0.0.1:$PRIMARY_PORT"
    succeeds doctor DOCTOR=--json
    printed '"verdict"'
}

check_psql_from_a_pipe() {
    [ "$(on_primary 'SELECT current_database() || pg_is_in_recovery();')" = operations_dbfalse ]
    [ "$(on_replica 'SELECT current_database() || pg_is_in_recovery();')" = operations_dbtrue ]
    on -replica 'CREATE TABLE mine ();' 2>&1 | grep -F 'cannot execute CREATE TABLE in a read-only transaction'
    # The whole surface is described.
    on '' '\dT+ operation_type_enum
\df+ operation*' | grep -F 'operation_insert_one'
}

check_replica_has_the_same_rows() {
    local rows
    rows=$(on_primary 'SELECT count(*) FROM operations;')
    [ "$rows" -ge 20000 ]
    becomes t 20 on_replica "SELECT count(*) >= $rows FROM operations;"
}

check_rows_grow_and_change() {
    local last
    last=$(on_primary 'SELECT max(id) FROM operations;')
    becomes t 30 on_primary "SELECT max(id) > $last FROM operations;"
    becomes t 60 on_primary 'SELECT count(*) > 20000 FROM operations WHERE status = 1;'
}

check_roles_and_passwords() {
    on_primary "SET ROLE operations_worker; CALL operation_insert_one(); CALL change_status(); SELECT count(*) > 0 FROM operations;"
    on '' "SET ROLE operations_reader; DELETE FROM operations;" 2>&1 | grep -F 'permission denied'
    wrong_password postgres "dbname=operations_db"
    wrong_password replicator "replication=true"
}

wrong_password() {
    local answer
    answer=$(PGPASSWORD=wrong "$("$PG_CONFIG" --bindir)/psql" -w "host=127.0.0.1 port=$PRIMARY_PORT user=$1 $2" -c 'SELECT 1' 2>&1) && return 1
    grep -F 'password authentication failed' <<<"$answer"
}

check_no_password_in_logs() {
    ! grep -rnF -e 'top:se' -e 'wal:se' "$demo"/*.log "$(dirname "$(dirname "$(dirname "$PG_CONFIG")")")/logs" "$demo/primary/postgresql.auto.conf" \
        "$demo/replica/postgresql.auto.conf" "$demo/primary/postmaster.opts" "$demo/replica/postmaster.opts"
    [ "$(stat -c %a "$demo/settings" "$demo/replica.pgpass" | sort -u)" = 600 ]
}
