#!/usr/bin/env bash
# Runs what threads share through every order in which they can meet, and says how many there were.
set -uo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${CARGO:-cargo}" test --locked --package logferry-model -- --nocapture "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
awk '/ orders$/ { orders += $(NF - 1); models += 1 }
     END { printf "\nModelled: %d orders of events in %d models\n", orders, models }' "$log"
exit "$status"
