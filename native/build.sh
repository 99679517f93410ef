# shellcheck shell=bash disable=SC2034
# Sourced after postgres.sh: the extension, built and installed into that PostgreSQL.

EXTENSION_VERSION=$(sed -n '/^\[workspace.package\]/,/^\[package\]/s/^version *= *"\(.*\)"/\1/p' "$CHECKOUT/Cargo.toml")
SCHEMA=$CHECKOUT/sql/operations_ext--$EXTENSION_VERSION.sql

build_extension() {
    local what="Building the extension (release)"
    # Whether there is something to build, cargo finds out.
    [ ! -e "${CARGO_TARGET_DIR:-$CHECKOUT/target}/release/liboperations_ext.so" ] || what="Checking that the extension is built"
    run_step extension "$what" compile_extension
    install_extension
}

compile_extension() {
    env -C "$CHECKOUT" PGRX_PG_CONFIG_PATH="$PG_CONFIG" \
        cargo build --locked --release --lib --package operations_ext --no-default-features --features "pg$PG_MAJOR"
}

# A running server may have the library open, and another may start at this moment: each file is replaced at once, as a whole.
install_file() {
    install -m "$1" "$2" "$3.new" && mv -f "$3.new" "$3"
}

install_extension() {
    local library folder
    library=$("$PG_CONFIG" --pkglibdir)/operations_ext.so
    folder=$("$PG_CONFIG" --sharedir)/extension
    { install_file 755 "${CARGO_TARGET_DIR:-$CHECKOUT/target}/release/liboperations_ext.so" "$library" &&
        install_file 644 "$SCHEMA" "$folder/${SCHEMA##*/}" &&
        sed "s/@CARGO_VERSION@/$EXTENSION_VERSION/" "$CHECKOUT/operations_ext.control" |
        install_file 644 /dev/stdin "$folder/operations_ext.control"; } ||
        die "the extension could not be installed into $(dirname "$library") and $folder"
}
