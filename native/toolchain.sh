# shellcheck shell=bash disable=SC2034
# Sourced by the targets that build: all tools, PostgreSQL, and the folder that the test crate makes its servers in.

need_toolchain() {
    need_rust
    need_c_toolchain
    need_cargo_pgrx
    need_postgres
    # cargo pgrx connects as this user, which initdb makes the superuser.
    export USER=$SERVER_USER
    export OPERATIONS_TEST_DIR=$STATE_DIR/tests
    export CARGO_PGRX_TEST_PGDATA=$STATE_DIR/pgrx-test
    server_folder "$OPERATIONS_TEST_DIR"
    server_folder "$CARGO_PGRX_TEST_PGDATA"
    cd "$CHECKOUT" || exit
}

# Servers that a test left behind, because it was killed or died.
stop_leftover_servers() {
    local pid_file
    for pid_file in "$PGRX_HOME"/data-*/postmaster.pid "$CARGO_PGRX_TEST_PGDATA"/*/postmaster.pid \
        "$OPERATIONS_TEST_DIR"/postmaster.pid "$OPERATIONS_TEST_DIR"/*/postmaster.pid "$OPERATIONS_TEST_DIR"/*/*/postmaster.pid; do
        [ ! -e "$pid_file" ] || as_server_user "$PG_BIN/pg_ctl" stop -s -m immediate -D "$(dirname "$pid_file")" >/dev/null 2>&1 || true
    done
    rm -rf "${CARGO_PGRX_TEST_PGDATA:?}"/* "${OPERATIONS_TEST_DIR:?}"/*
}
