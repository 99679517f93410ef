#!/usr/bin/env bash
# Called by operations-lab: finds or makes what the demo runs on, and says what it does. Usage: tools.sh [extension]
# With "extension", builds the extension and installs it into that PostgreSQL.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages rust postgres build
need_rust
need_c_toolchain
need_postgres
[ "${1:-}" != extension ] || build_extension
