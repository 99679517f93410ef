# shellcheck shell=bash disable=SC2034
# Sourced after postgres.sh: the extension, built and installed into that PostgreSQL.

build_extension() {
    run_step extension "Building the extension (release)" \
        env -C "$CHECKOUT" cargo pgrx install --release --pg-config "$PG_CONFIG"
}
