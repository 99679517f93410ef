# shellcheck shell=bash disable=SC2034
# Sourced after packages.sh: Rust and cargo-pgrx, in the versions that Cargo.toml and Cargo.lock name.

need_rust() {
    local wanted found
    [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] && PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    wanted=$(sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$CHECKOUT/Cargo.toml" | head -n 1)
    have cargo || die "Rust is missing: install Rust $wanted or newer (rustup), then run make again"
    found=$(cd "$CHECKOUT" && rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        die "Rust $found is too old: this needs $wanted or newer (rustup update)"
}

# cargo-pgrx must be exactly as old as the pgrx that Cargo.lock names.
need_cargo_pgrx() {
    local wanted root=$STATE_DIR/cargo-pgrx
    wanted=$(awk '$1 == "name" && $3 == "\"pgrx\"" { found = 1 } found && $1 == "version" { gsub(/"/, "", $3); print $3; exit }' \
        "$CHECKOUT/Cargo.lock")
    [ -n "$wanted" ] || die "Cargo.lock names no pgrx"
    if [ "$(cargo-pgrx pgrx --version 2>/dev/null)" = "cargo-pgrx $wanted" ]; then return; fi
    PATH=$root/bin:$PATH
    if [ "$("$root/bin/cargo-pgrx" pgrx --version 2>/dev/null)" = "cargo-pgrx $wanted" ]; then return; fi
    # Unoptimised, for it is built once and runs for seconds; without its download feature, for that wants OpenSSL.
    CARGO_PROFILE_DEV_DEBUG=0 run_step cargo-pgrx "Building cargo-pgrx $wanted (once, about two minutes)" \
        cargo install cargo-pgrx --version "=$wanted" --locked --debug --no-default-features --root "$root" --force
}
