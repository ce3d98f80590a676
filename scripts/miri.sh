#!/usr/bin/env bash
# Runs the tests of crates/flow under Miri, MIRI_SEEDS times, each with another order of its threads.
# Miri is an interpreter that finds undefined behaviour, data races and leaks; also in crossbeam's
# channels, which the model (scripts/model.sh) takes for given.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${MIRI_SEEDS:-4}
export MIRIFLAGS="${MIRIFLAGS:-} -Zmiri-many-seeds=0..$seeds"
start=$SECONDS
"${CARGO:-cargo}" +nightly miri test --locked --package logferry-flow --lib --target-dir target/miri
echo
echo "Miri: $(rustc +nightly --version), $seeds seeds, $((SECONDS - start)) s; none failed"
