# shellcheck shell=bash disable=SC2154
# Stopped and started again, crashed, and lost: the data stay, and what is broken heals.

check_stop_and_start_keeps_the_data() {
    local began=$SECONDS id rows
    id=$(system_id)
    rows=$(on_primary 'SELECT count(*) FROM operations;')
    succeeds stop
    printed "Stopped: replica primary"
    [ $((SECONDS - began)) -le 30 ]
    no_server_left
    fails status
    printed "The demo is stopped; its data are kept (make demo starts it)"
    began=$SECONDS
    succeeds demo
    [ $((SECONDS - began)) -le 20 ]
    not_printed cloning
    [ "$(system_id)" = "$id" ]
    [ "$(on_primary "SELECT count(*) >= $rows FROM operations;")" = t ]
}

check_wrong_password_is_said() {
    succeeds stop
    fails demo POSTGRES_PASSWORD=other
    printed "error: the demo's data were made with another password: set POSTGRES_PASSWORD to it, or run make clean first"
    succeeds stop
    fails demo POSTGRES_USER=somebody
    printed "error: POSTGRES_USER=somebody, but the demo's data were made with postgres: leave it, or run make clean first"
    # Not given, it is the one that worked.
    env -u POSTGRES_PASSWORD -u REPLICATION_PASSWORD make --no-print-directory -C "$checkout" demo
    [ "$(on_primary 'SELECT 1;')" = 1 ]
}

check_half_up() {
    kill -9 "$(pid_of replica)"
    becomes '' 20 processes_in replica
    fails status
    printed "replica"
    printed "Not well: "
    succeeds demo
    not_printed cloning
    not_printed "Starting the primary"
    succeeds status
}

check_primary_killed() {
    local rows
    rows=$(on_primary 'SELECT count(*) FROM operations;')
    kill -9 "$(pid_of primary)"
    becomes '' 20 processes_in primary
    fails status
    printed "stopped"
    succeeds demo
    not_printed cloning
    [ "$(on_primary "SELECT count(*) >= $rows FROM operations;")" = t ]
    succeeds status
}

check_lost_slot_heals() {
    local ctl
    ctl=$("$PG_CONFIG" --bindir)/pg_ctl
    on '' "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB';
SELECT pg_reload_conf();"
    "$ctl" stop -s -m fast -D "$demo/replica"
    on '' "CALL operations_test_data('2025-08-01', '2025-08-31', 100000, 1);
SELECT pg_switch_wal();
CHECKPOINT;"
    becomes lost 30 on_primary "SELECT wal_status FROM pg_replication_slots;"
    fails status
    printed "its slot is lost"
    on '' "ALTER SYSTEM RESET max_slot_wal_keep_size;
SELECT pg_reload_conf();"
    succeeds demo
    printed "cloning anew what is in $demo/replica: the primary has given up the WAL that it lacks (its slot is lost)"
    succeeds status
}

check_damaged_replica_is_cloned_anew() {
    kill -9 "$(pid_of replica)"
    becomes '' 20 processes_in replica
    rm -r "$demo/replica/base"
    succeeds demo
    printed "it is damaged (base/"
    succeeds status
}

check_clone_that_was_cut_short() {
    succeeds stop
    mv "$demo/replica" "$demo/replica.clone"
    rm -r "$demo/replica.clone/pg_wal"
    succeeds demo
    printed "cloning 127.0.0.1:$PRIMARY_PORT"
    [ ! -e "$demo/replica.clone" ]
    succeeds status
}

check_promoted_replica_is_left_alone() {
    on -replica 'SELECT pg_promote();'
    fails status
    printed "promoted: a primary of its own"
    fails demo
    printed "error: the replica was promoted and is a primary of its own now, so it is left alone"
    [ "$(on_replica 'SELECT pg_is_in_recovery();')" = f ]
    succeeds stop
    fails demo
    printed "it was promoted and may hold rows that the primary lacks"
    succeeds demo REPLICA_RECLONE=1
    succeeds status
}

check_replica_of_another_primary() {
    local before
    succeeds stop
    rm -r "$demo/primary"
    fails demo
    printed "it is a clone of another primary (system identifier "
    [ -e "$demo/replica/PG_VERSION" ]
    before=$(stat -c %i "$demo/replica")
    succeeds demo REPLICA_RECLONE=1
    [ "$(stat -c %i "$demo/replica")" != "$before" ]
    succeeds status
}
