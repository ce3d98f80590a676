#!/usr/bin/env bash
# Measures the release build and writes benches/RESULTS.md. Further arguments go to bench.
#
# usage: scripts/bench.sh <folder with logferry and bench> [arguments of bench]
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$1
shift
section=$bin/bench-results.md
status=0
"$bin/bench" --logferry "$bin/logferry" --logdisk "$bin/logdisk" --markdown "$section" "$@" || status=$?
# 1 says that a goal is not met: that is a result too.
((status <= 1)) || exit "$status"
{
    printf '# Results\n\nWritten by `make bench`; what is measured and how is in [README.md](README.md).\n\n'
    cat "$section"
    echo
    cat benches/ANALYSIS.md
} >benches/RESULTS.md
echo "benches/RESULTS.md is written"
exit "$status"
