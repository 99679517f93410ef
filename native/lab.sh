#!/usr/bin/env bash
# The program operations-lab, built where it is not, or no longer, up to date: native/lab.sh COMMAND [OPTION...]
# Needs Rust and a C compiler, for its linker. What the demo needs beyond that, the program gets by native/tools.sh.
# shellcheck source-path=SCRIPTDIR source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
load steps packages rust

LAB=${CARGO_TARGET_DIR:-$CHECKOUT/target}/debug/operations-lab

build_lab() {
    # Not optimised, as for the tests: a first build is quick. In the release profile its dependencies would be compiled apart
    # from those of the extension all the same, for their features and the link-time optimisation differ.
    local build=(env -C "$CHECKOUT" cargo build --locked -p operations_lab)
    if [ -x "$LAB" ]; then
        # Says what it compiles, if anything.
        "${build[@]}" 2>&1 </dev/null | sed -u '/^ *Finished /d' || die "the program operations-lab could not be built: see above"
    else
        run_step lab "Building operations-lab (once, about a minute)" "${build[@]}"
    fi
}

# To standard error, so that what the program prints can be piped.
{
    need_rust
    have cc || need_packages "a C compiler" gcc libc6-dev
    build_lab
} >&2
exec "$LAB" "$@"
