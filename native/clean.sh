#!/usr/bin/env bash
# make clean: stops the demo and deletes its data. What was downloaded and built stays.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
"$BASH" "$CHECKOUT/native/stop.sh"
if [ -e "$DEMO" ]; then
    rm -rf "$DEMO"
    say "Deleted the demo's data ($DEMO)"
else
    say "There is no demo data"
fi
