#!/usr/bin/env bash
# Installs what is missing for: build, test, lint. Does nothing, and asks nobody, if all is there.
#
# usage: scripts/need.sh build|test|lint...
#
# Rust comes from rustup and is not installed here. Programs that would start a daemon when
# installed are unpacked into .cache/debian instead.
set -euo pipefail
cd "$(dirname "$0")/.."

unpacked=.cache/debian
packages=()
to_unpack=()

need_rust() {
    command -v cargo >/dev/null && return
    echo "need: cargo is missing; install Rust 1.95 or newer with rustup (https://rustup.rs)" >&2
    exit 1
}

# Components that a minimal rustup does not bring.
need_component() {
    cargo "$1" --version >/dev/null 2>&1 && return
    command -v rustup >/dev/null || { echo "need: cargo $1 is missing, and there is no rustup" >&2; exit 1; }
    rustup component add "$2"
}

need_build() {
    need_rust
    # zstd's C source is compiled; cc links everything.
    command -v cc >/dev/null || packages+=(gcc)
    [[ -e /usr/include/stdlib.h ]] || packages+=(libc6-dev)
}

need_test() {
    # Tests with a file system of their own mount a tmpfs in their own namespace.
    command -v unshare >/dev/null && command -v mount >/dev/null || packages+=(mount util-linux)
    # A real Prometheus scrapes the agent in a test. Its package would start a daemon.
    command -v prometheus >/dev/null || [[ -x $unpacked/usr/bin/prometheus ]] || to_unpack+=(prometheus)
}

need_lint() {
    need_component fmt rustfmt
    need_component clippy clippy
    command -v git >/dev/null || packages+=(git)
    command -v python3 >/dev/null || packages+=(python3)
    python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
}

for what in "$@"; do
    case $what in
        build | test | lint) "need_$what" ;;
        *) echo "need: $what: not one of build, test, lint" >&2; exit 2 ;;
    esac
done

((${#packages[@]} + ${#to_unpack[@]})) || exit 0
command -v apt-get >/dev/null || {
    echo "need: not found, and there is no apt-get to install them: ${packages[*]} ${to_unpack[*]}" >&2
    exit 1
}
if ((EUID != 0)) && ((${#packages[@]})); then
    echo "need: these Debian packages are missing: ${packages[*]}" >&2
    echo "need: become root, or run: apt-get install ${packages[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
is_known() { apt-cache show "$@" >/dev/null 2>&1; }
if ! is_known "${packages[@]}" "${to_unpack[@]}" || ((EUID == 0)); then
    ((EUID == 0)) || { echo "need: ${to_unpack[*]} is not in the package lists; run apt-get update as root" >&2; exit 1; }
    echo "need: apt-get update"
    apt-get update -q -o Acquire::Retries=3
fi
if ((${#packages[@]})); then
    echo "need: apt-get install ${packages[*]}"
    apt-get install -q -y --no-install-recommends "${packages[@]}"
fi
for package in "${to_unpack[@]}"; do
    echo "need: $package goes to $unpacked, so that no daemon is started"
    download=$(mktemp -d)
    # As another user, apt would warn that it cannot drop its rights.
    (cd "$download" && apt-get download -q -o APT::Sandbox::User=root "$package")
    mkdir -p "$unpacked"
    dpkg-deb --extract "$download"/*.deb "$unpacked"
    rm -rf "$download"
done
