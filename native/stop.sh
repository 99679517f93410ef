#!/usr/bin/env bash
# make stop: the replica first, then the primary.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load settings servers

lock_demo 60
if use_made_postgres; then stop_demo; else say "The demo is not running"; fi
