#!/usr/bin/env bash
# Runs all tests of the workspace, and ends with cargo's result lines, each with its total.
#
# Tests of a real node (`real_node::`) are left out where no container can run, and counted as skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
skip=()
why=$(scripts/node.sh) || skip+=(--skip real_node::)
"${CARGO:-cargo}" test --workspace --locked --no-fail-fast -- "${skip[@]}" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
echo
echo "Results:"
grep '^test result:' "$log"
((${#skip[@]})) && echo "NOT RUN: tests of a real node: $why"
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8; left_out += $12 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored + left_out }' "$log"
exit "$status"
