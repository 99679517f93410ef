#!/usr/bin/env bash
# make demo: brings up the primary and the replica, waits until they live, says how to connect, and returns.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps ports packages rust postgres settings servers build init_primary replica report

# What runs, runs where it was started; what is to be started now goes to the ports that are named now, or to the usual ones.
declare -A ASKED=([PRIMARY_PORT]=${PRIMARY_PORT:-} [REPLICA_PORT]=${REPLICA_PORT:-})
PRIMARY_PORT=${PRIMARY_PORT:-${DEFAULTS[PRIMARY_PORT]}}
REPLICA_PORT=${REPLICA_PORT:-${DEFAULTS[REPLICA_PORT]}}
keep_port() {
    local name=${1^^}_PORT
    running "$1" || return 0
    printf -v "$name" '%s' "${SAVED[$name]:-${!name}}"
    [ "${ASKED[$name]:-${!name}}" = "${!name}" ] ||
        say "The $1 already runs on port ${!name} (to move it: make stop, then make demo)"
}

# A folder of somebody else's is not ours to fill, nor later to empty.
if [ ! -e "$DEMO/run" ] && ! is_empty "$DEMO"; then
    die "DEMO_DIR=$DEMO holds files but no demo: name a new or an empty folder"
fi
server_folder "$DEMO"
lock_demo
load_settings
if use_made_postgres; then
    keep_port primary
    keep_port replica
fi
if running primary && running replica && [ -z "$(not_yet_live)" ]; then
    say "The demo is already running."
    say_how_to_connect
    exit 0
fi

need_rust
need_c_toolchain
need_cargo_pgrx
need_postgres

server_folder "$RUN"
[ ! -e "$DEMO/primary" ] || check_against_data
remove_half_made

require_free_port() {
    listens "$2" || return 0
    die "port $2 of 127.0.0.1, for the $1, is taken: stop what listens there, or move the demo: make demo ${1^^}_PORT=$(free_port)"
}
running primary || require_free_port primary "$PRIMARY_PORT"
running replica || require_free_port replica "$REPLICA_PORT"

# The server's user may not be able to read the checkout.
as_server_user rm -rf "$DEMO/docker"
as_server_user mkdir "$DEMO/docker"
# shellcheck disable=SC2016 # the inner shell expands these
tar -C "$CHECKOUT/docker" -cf - postgresql.conf init_main init_replica |
    as_server_user sh -c 'tar -C "$1" --no-same-owner -xf - && chmod -R u+rwX "$1"' sh "$DEMO/docker"

choose_scheduler
save_settings
if ! running primary; then
    build_extension
    [ -e "$DEMO/primary" ] || init_primary
    say "Starting the primary on port $PRIMARY_PORT"
    start_server primary "$DEMO/primary" "${SCHEDULER[@]}" ||
        die "the primary did not start: $(why_not_started "$DEMO/primary.log") (all of it: $DEMO/primary.log)"
fi
# A replica that runs and does not stream gets a new start: the script that starts it finds out why, and mends what it can.
if running replica && promoted; then
    [ "${REPLICA_RECLONE:-}" = 1 ] || die "the replica was promoted and is a primary of its own now, so it is left alone;" \
        "REPLICA_RECLONE=1 make demo throws it away and clones anew"
    stop_server replica
fi
if running replica && ! streams_within 15; then stop_server replica; fi
running replica || start_replica
wait_until_live
say_how_to_connect
