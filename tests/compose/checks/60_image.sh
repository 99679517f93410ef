# shellcheck shell=bash
# Sourced by ../run: what the image is made of.

# What ships, with nothing in the environment: the tests' own settings are build arguments and ports, no more.
check_defaults_are_as_documented() {
    local config wanted
    config=$(env -i PATH="$PATH" HOME="$HOME" docker compose -f "$checkout/compose.yaml" config)
    for wanted in 'PG_MAJOR: "16"' 'POSTGRES_IMAGE: postgres:16-bookworm' 'RUST_IMAGE: rust:1.95-bookworm' \
        'host_ip: 127.0.0.1' 'published: "5432"' 'published: "5433"' 'POSTGRES_DB: operations_db' \
        'POSTGRES_USER: postgres' 'POSTGRES_PASSWORD: postgres' 'REPLICATION_USER: replicator' \
        'REPLICATION_PASSWORD: "123123"' 'REPLICATION_ALLOW: samenet' 'restart: unless-stopped' 'stop_grace_period: 1m0s'; do
        [[ $config == *"$wanted"* ]] || die "compose.yaml does not say $wanted by default"
    done
    same "published ports, and those of them on the loopback address" "2 2" \
        "$(grep -c 'published:' <<<"$config") $(grep -c 'host_ip: 127.0.0.1' <<<"$config")"
}

check_image_has_no_toolchain() {
    need_demo
    local program
    for program in cargo rustc cc make clang; do
        ! docker exec "$(container primary)" sh -c "command -v $program" || die "the image ships $program"
    done
    docker exec "$(container primary)" test ! -e /usr/local/cargo || die "the image ships the toolchain's folder"
}

# With another source file, the stage of the dependencies comes from the cache as it is.
check_source_change_keeps_the_dependencies() {
    local copy=$files/checkout answer
    mkdir -p "$copy/tests/cluster" "$copy/tests/demo" "$copy/lab"
    cp -r "$checkout"/{.dockerignore,Cargo.toml,Cargo.lock,operations_ext.control,compose.yaml,src,sql,model,docker} "$copy"
    cp "$checkout/tests/cluster/Cargo.toml" "$copy/tests/cluster"
    cp "$checkout/tests/demo/Cargo.toml" "$copy/tests/demo"
    cp "$checkout/lab/Cargo.toml" "$copy/lab"
    echo '// changed' >>"$copy/src/lib.rs"
    cat >"$copy/dependencies.yaml" <<'YAML'
services:
  postgres_primary:
    image: operations-test/dependencies
    build:
      target: dependencies
YAML
    answer=$(docker compose -f "$copy/compose.yaml" -f "$copy/dependencies.yaml" --progress plain build postgres_primary 2>&1)
    docker image rm operations-test/dependencies >/dev/null
    [[ $answer == *CACHED* && $answer != *Compiling* ]] || die "a change in src/ builds the dependencies anew"
}
