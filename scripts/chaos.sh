#!/usr/bin/env bash
# Runs CHAOS_SCHEDULES schedules of the real agent on real disks, from the seed CHAOS_SEED on; one of each
# kind in turn: nothing is removed, files are removed and cut, the disk of the logs loses its power.
# One in twenty delivers to a real Kafka that is killed, stopped and cut off: CHAOS_KAFKA=all for all, none for none.
# Then come the faults of Kafka that take minutes each.
set -euo pipefail
cd "$(dirname "$0")/.."

export CHAOS_SCHEDULES=${CHAOS_SCHEDULES:-300} CHAOS_SEED=${CHAOS_SEED:-1}
echo "chaos: commit $(git describe --always --dirty 2>/dev/null || echo unknown)"
"${CARGO:-cargo}" test --locked --package logferry --test it -- --nocapture chaos
# Faults of Kafka that take minutes each, but for those that take very long: they say how to be run.
"${CARGO:-cargo}" test --locked --package logferry --test it -- --nocapture --ignored --test-threads 2 \
    kafka:: --skip d_two_hundred --skip d1_half_an_hour --skip d2_two_of_three
