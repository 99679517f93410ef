#!/usr/bin/env bash
# The file that CREATE EXTENSION runs, compared with what cargo-pgrx makes of the sources: bash native/schema.sh [write]
# It is kept in the repository so that the demo, which only builds the library, need not build cargo-pgrx.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages rust postgres build toolchain
need_toolchain

made=$STATE_DIR/schema.sql
run_step schema "Making the SQL of the extension" cargo pgrx schema --package operations_ext --features "pg$PG_MAJOR" --out "$made"

# Where an item stands in the sources says nothing about it.
without_places() { grep -vE '^-- src/[^ ]+:[0-9]+$' "$1"; }

# An item a line: cargo-pgrx puts them in another order each time.
items() { without_places "$1" | awk '{ item = item $0 "\001" } /^\/\* <\/end connected objects> \*\/$/ { print item; item = "" }' | sort; }

if [ "${1:-}" = write ]; then
    without_places "$made" >"$SCHEMA"
elif ! cmp -s <(items "$made") <(items "$SCHEMA"); then
    diff <(items "$SCHEMA" | tr '\001' '\n') <(items "$made" | tr '\001' '\n') >&2 || true
    die "$SCHEMA is not what the sources give: run bash native/schema.sh write"
fi
