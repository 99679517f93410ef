# shellcheck shell=bash disable=SC2034
# Sourced after postgres.sh: the extension, built and installed into that PostgreSQL.

EXTENSION_VERSION=$(sed -n '/^\[workspace.package\]/,/^\[package\]/s/^version *= *"\(.*\)"/\1/p' "$CHECKOUT/Cargo.toml")
SCHEMA=$CHECKOUT/sql/operations_ext--$EXTENSION_VERSION.sql

build_extension() {
    local what="Building the extension (release)"
    # Whether there is something to build, cargo finds out.
    [ ! -e "${CARGO_TARGET_DIR:-$CHECKOUT/target}/release/liboperations_ext.so" ] || what="Checking that the extension is built"
    run_step extension "$what" env -C "$CHECKOUT" PGRX_PG_CONFIG_PATH="$PG_CONFIG" \
        cargo build --locked --release --lib --package operations_ext --no-default-features --features "pg$PG_MAJOR"
    install_extension
}

# A running server may have the library open: install(1) makes a new file of it.
install_extension() {
    local library folder
    library=$("$PG_CONFIG" --pkglibdir)/operations_ext.so
    folder=$("$PG_CONFIG" --sharedir)/extension
    { install -m 755 "${CARGO_TARGET_DIR:-$CHECKOUT/target}/release/liboperations_ext.so" "$library" &&
        install -m 644 "$SCHEMA" "$folder/" &&
        sed "s/@CARGO_VERSION@/$EXTENSION_VERSION/" "$CHECKOUT/operations_ext.control" |
        install -m 644 /dev/stdin "$folder/operations_ext.control"; } ||
        die "the extension could not be installed into $(dirname "$library") and $folder"
}
