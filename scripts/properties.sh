#!/usr/bin/env bash
# Tries the properties (`proptest!`) of all crates with other examples each time, PROPERTY_ROUNDS times (10); the simulator's are
# those of `make sim`. What fails is printed as small as it can be, and becomes a named test.
#
# PROPTEST_RNG_SEED: the first round's examples, a number; each round's is said. PROPTEST_CASES: how many, of those that do not
# say themselves.
set -uo pipefail
cd "$(dirname "$0")/.."

rounds=${PROPERTY_ROUNDS:-10}
first=${PROPTEST_RNG_SEED:-$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')}
mapfile -t files < <(git ls-files '*.rs' ':!crates/sim' | xargs grep -l 'proptest! {')
# What stands in `proptest!` is a function whose arguments are drawn.
mapfile -t names < <(grep -hzoP 'fn \w+\(\s*(mut )?\w+ in ' "${files[@]}" | tr '\0' '\n' | sed -n 's/^ *fn \([a-z0-9_]*\)(.*/\1/p' | sort -u)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# What is found belongs in a test, and not into a file that the next run would read.
export PROPTEST_DISABLE_FAILURE_PERSISTENCE=1
status=0 passed=0
for ((round = 0; round < rounds; round++)); do
    export PROPTEST_RNG_SEED=$((first + round))
    if ! "${CARGO:-cargo}" test --workspace --exclude logferry-sim --locked --no-fail-fast -- "${names[@]}" >"$log" 2>&1; then
        status=1
        sed -n '/^failures:$/,/^failures:$/p; /^error/p' "$log"
        echo "FAILED; again: PROPERTY_ROUNDS=1 PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED make properties"
    fi
    passed=$((passed + $(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$log")))
done
echo "properties: ${#names[@]} of them, $rounds rounds from seed $first: $passed passed, $([ $status = 0 ] && echo 'none failed' || echo 'some FAILED')"
exit $status
