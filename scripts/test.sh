#!/usr/bin/env bash
# Runs all tests of the workspace, and ends with cargo's result lines, each with its total.
#
# Tests of a real node (`real_node::`) are left out where no container can run, those of a real cluster
# (`real_cluster::`) also where Kubernetes is not built, and those by a kube-apiserver's own code (`crdcheck::`) where
# that is not built, and those that mount a log disk (`real_mount::`) where FUSE is not to be had. They are named at
# the end, and counted as skipped.
#
# Chaos comes last and by itself: it has eight agents at a time, which others would hold up and which would hold up others,
# and what it says of a schedule that failed stands below its name.
#
# What failed is run again, by itself and one at a time (scripts/again.py): once if it only waited too long, for a machine
# that is busy with something else is no fault; three times if it failed otherwise, and no more than two did. It fails if it
# fails once more, and what does not is named at the end: to be late is no bug, and to be unsteady is one, of product or test.
#
# Properties are tried with the same examples each time, so that what may land is no matter of luck; `make properties` and
# `make sim` try others.
#
# Most tests wait for other programs most of the time, so there are two threads a core.
set -uo pipefail
cd "$(dirname "$0")/.."
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))} PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}

log=$(mktemp)
trap 'rm -f "$log" "$log.again"' EXIT
chaos=chaos::chaos_loses_and_doubles_nothing_and_declares_what_is_gone
skip=(--skip "$chaos")
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
left_out=$(awk '/^test result:/ { sum += $8 + $12 } END { print sum - 1 }' "$log")
"${CARGO:-cargo}" test --workspace --test it --locked --no-fail-fast -- --exact "$chaos" 2>&1 | tee -a "$log"
status=$((status | PIPESTATUS[0]))
again=()
if ((status)) && runs=$(scripts/again.py "$log"); then
    mapfile -t again <<<"$runs"
    printf 'FAILED, and run again: %s\n' "${again[@]}"
    status=0
    for run in "${again[@]}"; do
        read -r times name <<<"$run"
        for ((; times > 0; times--)); do
            "${CARGO:-cargo}" test --workspace --tests --locked --no-fail-fast -- --test-threads 1 --exact "$name" 2>&1 | tee -a "$log.again"
            status=$((status | PIPESTATUS[0]))
        done
    done
fi
echo
echo "Results:"
grep '^test result:' "$log" | grep -v ' 0 passed; 0 failed;'
grep '^chaos: ' "$log"
((${#not_run[@]})) && printf '%s\n' "${not_run[@]}"
awk -v left_out="$left_out" '/^test result:/ { passed += $4; failed += $6 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, left_out }' "$log"
if ((${#again[@]})); then
    awk '/^test result:/ { passed += $4; failed += $6 }
         END { printf "of what was run again: %d passed, %d failed\n", passed, failed }' "$log.again"
    printf '%s\n' "${again[@]}" | sed 's/^1 /LATE: /; s/^3 /UNSTEADY: /'
fi
exit "$status"
