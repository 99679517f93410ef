# shellcheck shell=sh disable=SC2154
# One script under many names: `native/postgres.sh` puts its settings in front (REAL_CONFIG, REAL_BIN, REAL_PGXS, HERE, RUN_AS)
# and links it as pg_config, as every program of PostgreSQL, as pg_regress, and as sudo. So whoever is given this
# pg_config (cargo pgrx, the test crate, the demo) can be root without knowing that PostgreSQL refuses it.
set -eu
unset RUST_BACKTRACE RUST_LIB_BACKTRACE # a panic's backtrace would reach the clients
name=${0##*/}

pg_config() {
    case $1 in
        --bindir) echo "$HERE/bin" ;;
        --pgxs) echo "$HERE/pgxs/src/makefiles/pgxs.mk" ;;
        *) "$REAL_CONFIG" "$1" ;;
    esac
}

as_server_user() {
    if [ "$(id -u)" != 0 ]; then exec "$@"; fi
    # shellcheck disable=SC2016 # the inner shell expands these
    exec setpriv --reuid="$RUN_AS" --regid="$(id -g "$RUN_AS")" --init-groups \
        env HOME=/ USER="$RUN_AS" LOGNAME="$RUN_AS" \
        sh -c 'cd "$(pwd -P)" 2>/dev/null || cd /; exec "$@"' sh "$@"
}

case $name in
    pg_config)
        [ $# -gt 0 ] || exec "$REAL_CONFIG"
        for option; do pg_config "$option"; done
        ;;
    pg_regress)
        # It writes its results beside the tests, so it stays who it is; only its sessions are the server's user.
        if [ "$(id -u)" = 0 ]; then export PGUSER="$RUN_AS"; fi
        exec "$REAL_PGXS/src/test/regress/pg_regress" --bindir="$REAL_BIN" "$@"
        ;;
    sudo)
        # Root's tests of cargo-pgrx write their server's files by it: `sudo -u USER [NAME=VALUE ..] PROGRAM ..`, or as root.
        # A library that servers have loaded is not written over: they would crash.
        [ "$1" != cp ] || { shift && exec cp --remove-destination "$@"; }
        [ "$1" = -u ] || exec "$@"
        shift 2
        as_server_user env "$@"
        ;;
    *) as_server_user "$REAL_BIN/$name" "$@" ;;
esac
