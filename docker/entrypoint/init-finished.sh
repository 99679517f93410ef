#!/usr/bin/env bash
# The last of the init files: from here on the database is whole. See primary.sh.
set -euo pipefail
rm -f "$PGDATA.initialising"
sync "$(dirname "$PGDATA")"
