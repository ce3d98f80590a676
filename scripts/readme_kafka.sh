#!/usr/bin/env bash
# Runs the three commands for Kafka that the README shows, as they stand there, and judges what the last one says.
#
# usage: scripts/readme_kafka.sh
set -euo pipefail
cd "$(dirname "$0")/.."

broker_seconds_max=3000 # builds, too
agent_seconds=${AGENT_SECONDS:-15}
log=$(mktemp -d)
pids=()
clean_up() {
    local pid
    for pid in "${pids[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$log"
}
trap clean_up EXIT
fail() {
    echo "readme: $*" >&2
    tail -n 20 "$log"/* >&2
    exit 1
}

mapfile -t commands < <(sed -n '/<!-- kafka -->/,/<!-- end -->/s/^    \([^#]*[^# ]\).*/\1/p' README.md)
((${#commands[@]} == 3)) || fail "want three commands between the marks in README.md, found ${#commands[@]}"

# Each in a process group of its own, as in a terminal of its own.
set -m
echo "readme: ${commands[0]}"
bash -c "${commands[0]}" >"$log/broker" 2>&1 &
broker=$!
pids+=("$broker")
seconds=0
until grep -q '^kafka: ready' "$log/broker"; do
    kill -0 "$broker" 2>/dev/null || fail "it ended"
    ((++seconds <= broker_seconds_max)) || fail "not ready within $broker_seconds_max s"
    sleep 1
done
echo "readme: ${commands[1]} (for $agent_seconds s)"
bash -c "exec ${commands[1]}" >"$log/agent" 2>&1 &
agent=$!
pids+=("$agent")
sleep "$agent_seconds"
kill -INT "$agent"
wait "$agent" || fail "the agent did not stop in good order"
echo "readme: ${commands[2]}"
bash -c "${commands[2]}" | tee "$log/audit"
grep -Eq '^3 contexts, [1-9][0-9]+ records, .* lost 0, doubled 0' "$log/audit" || fail "that is no proof"
echo "readme: passed"
