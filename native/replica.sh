# shellcheck shell=bash disable=SC2034
# Sourced after servers.sh: the replica, cloned and started by the same script as in Docker.

# 75 says that the server itself failed to start; everything else has said why in a line.
SERVER_FAILED=75

run_replica_entrypoint() {
    export PGDATA=$DEMO/replica PRIMARY_HOST=127.0.0.1 PRIMARY_PORT REPLICATION_USER REPLICATION_PASSWORD
    export REPLICATION_SLOT=$SLOT WAIT_SECONDS=30 PATH=$PG_BIN:$PATH
    server_settings replica
    # shellcheck disable=SC2016 # the inner shell expands these
    hold_data replica bash "$DEMO/docker/init_replica/replica-entrypoint.sh" \
        sh -c 'status=$1; shift; "$@" >/dev/null 2>&1 || exit "$status"' sh "$SERVER_FAILED" \
        pg_ctl start -s -w -t 120 -D "$PGDATA" -l "$DEMO/replica.log" -o "$(options_line "${SERVER_SETTINGS[@]}" "${SCHEDULER[@]}")" </dev/null
}

# The script clones anew what failed to start twice, so it gets three goes.
start_replica() {
    local status
    LOG_FROM=$(($(size_of "$DEMO/replica.log") + 1))
    say "Starting the replica on port $REPLICA_PORT"
    for _ in 1 2 3; do
        status=0
        clear_stale_lock replica "$DEMO/replica"
        (run_replica_entrypoint) 2>&1 | sed -u 's/^/    /' || status=$?
        [ "$status" != 0 ] || remember_start replica "$DEMO/replica"
        [ "$status" = "$SERVER_FAILED" ] || break
        say "    it did not start: $(why_not_started "$DEMO/replica.log")"
    done
    [ "$status" = 0 ] || restore_passwords
    [ "$status" = 0 ] || die "the replica did not start: see the line above, or all of it in $DEMO/replica.log"
}
