#!/usr/bin/env bash
# make clean: stops the demo and deletes its data. What was downloaded and built stays.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
"$BASH" "$CHECKOUT/native/stop.sh"
if [ -e "$DEMO/run" ]; then
    # Only what is ours, by name: DEMO_DIR may be any folder.
    as_server_user rm -rf "$DEMO"/primary "$DEMO"/primary.* "$DEMO"/replica "$DEMO"/replica.* "$DEMO"/docker "$DEMO"/run \
        "$DEMO"/settings* "$DEMO"/pgpass* "$DEMO"/password.new*
    rmdir "$DEMO" 2>/dev/null || true
    say "Deleted the demo's data ($DEMO)"
else
    say "There is no demo data"
fi
