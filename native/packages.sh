# shellcheck shell=bash disable=SC2034
# Sourced after steps.sh: what the operating system must bring.

apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

apt_install() {
    apt_get install -y --no-install-recommends "$@" || { apt_get update && apt_get install -y --no-install-recommends "$@"; }
}

# need_packages WHAT PACKAGE...: installs Debian packages, or says in one line what to install.
need_packages() {
    local what=$1
    shift
    if is_root && have apt-get; then
        run_step apt "Installing $* ($what)" apt_install "$@"
    else
        die "$what is missing: install it (Debian, as root: apt-get install -y $*), then run make again"
    fi
}

# bindgen needs the library and the compiler's own headers beside it.
have_libclang() {
    local folders=(/usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/lib /usr/local/lib ${LIBCLANG_PATH:+"$LIBCLANG_PATH"})
    local headers=(/usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib/clang/*/include/stddef.h /usr/lib64/clang/*/include/stddef.h)
    [ -e "${headers[0]}" ] || [ -e "${headers[1]:-}" ] || [ -e "${headers[2]:-}" ] || [ -n "${LIBCLANG_PATH:-}" ] || return 1
    [ -n "$(find "${folders[@]}" -maxdepth 1 \( -name 'libclang.so*' -o -name 'libclang-[0-9]*.so*' \) 2>/dev/null | head -n 1)" ]
}

need_c_toolchain() {
    have cc || need_packages "a C compiler" gcc libc6-dev
    have_libclang || need_packages "libclang" libclang-dev
}

# pip of the system's Python, of a private environment, or installed.
need_pip() {
    have python3 || need_packages "Python 3" python3 python3-pip
    python3 -m pip --version >/dev/null 2>&1 || need_packages "pip for Python 3" python3-pip
}
