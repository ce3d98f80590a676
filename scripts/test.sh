#!/usr/bin/env bash
# Runs all tests of the workspace, and ends with cargo's result lines, each with its total.
#
# Tests of a real node (`real_node::`) are left out where no container can run, those of a real cluster
# (`real_cluster::`) also where Kubernetes is not built, and those by a kube-apiserver's own code (`crdcheck::`) where
# that is not built, and those that mount a log disk (`real_mount::`) where FUSE is not to be had. They are named at
# the end, and counted as skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
skip=()
not_run=()
leave_out() {
    skip+=(--skip "$1")
    not_run+=("NOT RUN: $1 $2")
}
if ! why=$(scripts/node.sh); then
    leave_out real_node:: "$why"
    leave_out real_cluster:: "$why"
elif ! why=$(scripts/kubernetes.sh --check); then
    leave_out real_cluster:: "$why"
fi
[[ -w /dev/fuse ]] && ((EUID == 0)) || leave_out real_mount:: "log disks are mounted by root alone, and need /dev/fuse"
[[ -x .cache/crdcheck ]] || leave_out crdcheck:: "scripts/crdcheck.sh could not build it"
"${CARGO:-cargo}" test --workspace --locked --no-fail-fast -- "${skip[@]}" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
echo
echo "Results:"
grep '^test result:' "$log"
((${#not_run[@]})) && printf '%s\n' "${not_run[@]}"
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8; left_out += $12 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored + left_out }' "$log"
exit "$status"
