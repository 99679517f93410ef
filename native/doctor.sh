#!/usr/bin/env bash
# make doctor: one verdict on the demo, and for each finding why and what to type. DOCTOR gives options: make doctor DOCTOR=--json
# Exit code 0: ok; 1: degraded; 2: broken; 3: unknown (docs/doctor.md).
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages rust
need_rust
# To standard error, so that what the doctor prints can be piped.
(cd "$CHECKOUT" && cargo build --quiet --locked --release -p operations_lab) >&2 ||
    die "the program operations-lab could not be built: see above"
read -r -a options <<<"${DOCTOR:-}"
exec "${CARGO_TARGET_DIR:-$CHECKOUT/target}/release/operations-lab" doctor --demo "$DEMO" "${options[@]}"
