#!/usr/bin/env bash
# Builds crdcheck, which judges custom resources by a kube-apiserver's own code, into .cache; does nothing if it is there.
# Where it cannot be built, it says so, and the tests that need it are left out by scripts/test.sh.
#
# Modules come through Go's proxy and are checked by go.sum. Takes five minutes of two cores once, then nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

# Changes with what it is built of.
sum=$(cat scripts/crdcheck/{main.go,go.mod,go.sum} | sha256sum | cut -c 1-12)
program=.cache/crdcheck-$sum
[[ -x $program ]] && exit 0
if ! command -v go >/dev/null; then
    echo "crdcheck: NOT HERE: Go 1.26 or newer is missing (https://go.dev/dl)" >&2
    exit 0
fi
mkdir -p .cache
echo "crdcheck: building it, which takes some minutes"
if ! CGO_ENABLED=0 GOFLAGS=-mod=readonly nice -n 5 \
    go build -C scripts/crdcheck -trimpath -ldflags '-s -w' -o "$PWD/$program.new" .; then
    echo "crdcheck: NOT HERE: it could not be built" >&2
    exit 0
fi
rm -f .cache/crdcheck-????????????
mv "$program.new" "$program"
# Where tests look for it.
ln -sfn "$(basename "$program")" .cache/crdcheck
