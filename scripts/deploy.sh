#!/usr/bin/env bash
# Validates what is in deploy/: the Helm chart, the manifests rendered from it, the image. UPDATE_GOLDEN=1 renders anew.
# With `render FILE` it prints what the chart makes of the values in the file, and validates nothing.
#
# Offline, in seconds, once Helm (as a library) and Kubernetes' own JSON schemas are in .cache.
set -euo pipefail
cd "$(dirname "$0")/.."

sum=$(sha256sum scripts/deploy-requirements.txt | cut -c 1-12)
venv=.cache/deploy-$sum
if [[ ! -e $venv/installed ]]; then
    rm -rf .cache/deploy-????????????
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --require-hashes --requirement scripts/deploy-requirements.txt
    touch "$venv/installed"
fi
"$venv/bin/python" scripts/deploy.py "$@"
