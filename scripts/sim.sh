#!/usr/bin/env bash
# Runs simulated schedules, SIM_CASES of each of fifteen kinds, a sixth of them of tenants and an eighth of tenants with spools,
# and WORLDS of tenants; ends with what was run.
# SIM_SEED: which ones, a number; `random` for others each time.
set -uo pipefail
cd "$(dirname "$0")/.."

export SIM_CASES=${SIM_CASES:-9000} SIM_SEED=${SIM_SEED:-1}
if [ "$SIM_SEED" = random ]; then
    SIM_SEED=$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')
fi
commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
start=$SECONDS
"${CARGO:-cargo}" test --profile sim --locked --package logferry-sim --no-fail-fast
status=$?
export WORLDS=${WORLDS:-100000} PROPTEST_RNG_SEED=$SIM_SEED
"${CARGO:-cargo}" test --profile sim --locked --package logferry --bin logferry -- worlds || status=1
kinds=15
echo
echo "Simulated: $((kinds * SIM_CASES + SIM_CASES / 6 + SIM_CASES / 8)) schedules and $WORLDS worlds of tenants, seed $SIM_SEED, commit $commit, $((SECONDS - start)) s;" \
    "$([ $status = 0 ] && echo 'none failed' || echo "failed; again: SIM_CASES=$SIM_CASES SIM_SEED=$SIM_SEED make sim")"
exit $status
