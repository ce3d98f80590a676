#!/usr/bin/env bash
# Installs what is missing for: build, test, node, fuzz, lint, miri. Does nothing, and asks nobody, if all is there.
#
# usage: scripts/need.sh build|test|node|fuzz|lint|miri...
#
# Needs Debian or a relative, and root if something is missing. Rust comes from rustup and is not
# installed here. No daemon of an installed package is started, now or at the next boot.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()

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
    need_librdkafka
}

need_test() {
    # Tests of full disks mount a small tmpfs; tests of power cuts, an ext4; log disks; tests of permissions step
    # down by setpriv.
    command -v mount >/dev/null || packages+=(mount)
    command -v setpriv >/dev/null || packages+=(util-linux)
    command -v mkfs.ext4 >/dev/null || packages+=(e2fsprogs)
    command -v python3 >/dev/null || packages+=(python3)
    # The chart is rendered by a library of Python's (scripts/deploy.sh).
    python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
    # A test makes a slow link in a network namespace of its own.
    command -v tc >/dev/null || packages+=(iproute2)
    # Has the kernel refuse single calls of the agent.
    command -v strace >/dev/null || packages+=(strace)
    # The real Prometheus scrapes the agent in a test.
    [[ -x /usr/bin/prometheus ]] || packages+=(prometheus)
    # Rotates what is on a log disk; verifies it; writes to it.
    command -v logrotate >/dev/null || packages+=(logrotate)
    command -v fio >/dev/null || packages+=(fio)
    [[ -x /usr/sbin/nginx ]] || packages+=(nginx-light)
    # A consumer of Kafka that is not ours.
    command -v kcat >/dev/null || packages+=(kcat)
    # Apache Kafka is run in tests: scripts/kafka.sh has Maven fetch it. Its certificates are made by openssl.
    command -v java >/dev/null || packages+=(openjdk-17-jre-headless)
    command -v mvn >/dev/null || packages+=(maven)
    command -v openssl >/dev/null || packages+=(openssl)
    ((EUID == 0)) || echo "need: tests of full disks mount a tmpfs, and fail unless run as root" >&2
}

# Containers for tests of a real node (crates/node-kit), where they can run at all: scripts/node.sh tells.
need_node() {
    ((EUID == 0)) && grep -qw overlay /proc/filesystems || return 0
    command -v containerd >/dev/null || packages+=(containerd)
    command -v runc >/dev/null || packages+=(runc)
    [[ -x /usr/lib/cni/ptp ]] || packages+=(containernetworking-plugins)
    [[ -x /bin/busybox ]] || packages+=(busybox-static)
    # The address at which pods find the API server.
    command -v ip >/dev/null || packages+=(iproute2)
    # Tests look for processes that were left behind.
    command -v pgrep >/dev/null || packages+=(procps)
}

# librdkafka, the Kafka client, is compiled from the C source in its crate; .cargo/config.toml says where libssl.a is.
need_librdkafka() {
    command -v make >/dev/null || packages+=(make)
    command -v g++ >/dev/null || packages+=(g++)
    command -v pkg-config >/dev/null || packages+=(pkg-config)
    [[ -e /usr/include/openssl/ssl.h ]] || packages+=(libssl-dev)
}

need_fuzz() {
    # libFuzzer is C++.
    command -v c++ >/dev/null || packages+=(g++)
    command -v git >/dev/null || packages+=(git)
}

need_lint() {
    need_rust
    need_librdkafka
    need_component fmt rustfmt
    need_component clippy clippy
    command -v git >/dev/null || packages+=(git)
    command -v python3 >/dev/null || packages+=(python3)
    python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
}

# Miri is a component of nightly toolchains alone, and not of every one.
need_miri() {
    need_rust
    cargo +nightly miri --version >/dev/null 2>&1 && return
    if command -v rustup >/dev/null; then
        rustup toolchain install nightly --profile minimal --component miri,rust-src && return
    fi
    echo "need: Miri is NOT HERE and cannot be installed: nothing was run under it" >&2
    echo "need: rustup toolchain install nightly --component miri,rust-src would do it" >&2
    exit 1
}

# Keeps maintainer scripts from starting daemons, as Debian's policy layer provides for; afterwards
# they are also kept from starting at boot.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap "rm -f $policy" EXIT
    fi
    apt-get install -q -y --no-install-recommends "$@"
    local daemon
    for daemon in prometheus containerd nginx; do
        if [[ " $* " == *" $daemon "* && -d /run/systemd/system ]]; then
            systemctl disable --now "$daemon.service"
        fi
    done
}

for what in "$@"; do
    case $what in
        build | test | node | fuzz | lint | miri) "need_$what" ;;
        *) echo "need: $what: not one of build, test, node, fuzz, lint, miri" >&2; exit 2 ;;
    esac
done

((${#packages[@]})) || exit 0
if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    echo "need: these Debian packages are missing: ${packages[*]}" >&2
    echo "need: as root, on Debian, they would be installed now: apt-get install ${packages[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "need: apt-get update, apt-get install ${packages[*]}"
apt-get update -q
install_quietly "${packages[@]}"
