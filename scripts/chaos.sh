#!/usr/bin/env bash
# Runs CHAOS_SCHEDULES schedules of the real agent on a real disk, from the seed CHAOS_SEED on.
set -euo pipefail
cd "$(dirname "$0")/.."

export CHAOS_SCHEDULES=${CHAOS_SCHEDULES:-300} CHAOS_SEED=${CHAOS_SEED:-1}
echo "chaos: commit $(git describe --always --dirty 2>/dev/null || echo unknown)"
exec "${CARGO:-cargo}" test --locked --package logferry --test it -- --nocapture chaos
