# shellcheck shell=bash
# Sourced by ../run: what the image is made of.

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
    mkdir -p "$copy/tests/cluster"
    cp -r "$checkout"/{.dockerignore,Cargo.toml,Cargo.lock,operations_ext.control,compose.yaml,src,sql,model,docker} "$copy"
    cp "$checkout/tests/cluster/Cargo.toml" "$copy/tests/cluster"
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
