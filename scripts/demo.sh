#!/usr/bin/env bash
# Demo: ships the logs of made-up pods into an embedded queue, kills the agent on the way, and
# proves afterwards that nothing was lost or doubled.
#
# usage: scripts/demo.sh [folder with logferry, loggen and logcheck]
#
# All it writes is in one scratch folder, which it removes unless KEEP=1. It ends by itself and
# leaves nothing running.
#   SECONDS_OF_LOAD  how long pods write (30)
#   RATE             bytes a second of all pods together (30MB)
#   PODS             how many (12)
set -euo pipefail

bin=${1:-target/release}
load_seconds=${SECONDS_OF_LOAD:-30}
rate=${RATE:-30MB}
pods=${PODS:-12}
# Longest wait for the agent to answer, and for it to catch up after the load.
answer_seconds_max=20
catch_up_seconds_max=120

for program in logferry loggen logcheck; do
    [[ -x $bin/$program ]] || { echo "demo: $bin/$program is missing; run 'make run'" >&2; exit 2; }
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/logferry-demo.XXXXXX")
agent_pid=
load_pid=
nap_pid=

clean_up() {
    local pid
    for pid in $agent_pid $load_pid $nap_pid; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if [[ ${KEEP:-0} == 1 ]]; then
        echo "kept: $scratch"
    else
        rm -rf "$scratch"
    fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() { printf '\nFAILED: %s\n' "$*" >&2; exit 1; }

# Sleeps so that a signal is heard at once.
nap() {
    sleep "$1" &
    nap_pid=$!
    wait "$nap_pid"
    nap_pid=
}

# A port of loopback that nobody listens on.
free_port() {
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    fail "no free port on 127.0.0.1"
}

# What the agent answers to GET $1; nothing if it does not answer.
ask() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 0
        printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$1" >&3
        cat <&3
    ) 2>/dev/null || true
}

# Sum of a metric over its labels.
metric() {
    awk -v name="$1" 'index($1, name "{") == 1 || $1 == name { sum += $NF } END { printf "%.0f", sum }'
}

start_agent() {
    "$bin/logferry" run -f "$scratch/demo.yaml" --progress &
    agent_pid=$!
    local tries
    for ((tries = 0; tries < answer_seconds_max * 10; tries++)); do
        kill -0 "$agent_pid" 2>/dev/null || fail "the agent ended by itself"
        [[ $(ask /ready) == *' 200 '* ]] && return
        sleep 0.1
    done
    fail "the agent is not ready after $answer_seconds_max s"
}

# Waits until every byte that was written is acknowledged by the queue.
wait_until_delivered() {
    local quiet=0 before=-1 page open now tries
    for ((tries = 0; tries < catch_up_seconds_max * 2; tries++)); do
        page=$(ask /metrics)
        open=$(($(metric logferry_lag_bytes <<<"$page") + $(metric logferry_in_flight_bytes <<<"$page")))
        now=$(metric logferry_delivered_bytes_total <<<"$page")
        # Lag is what was last seen in the files: several quiet looks, so that a scan lies between.
        if [[ $open == 0 && $now != 0 && $now == "$before" ]]; then quiet=$((quiet + 1)); else quiet=0; fi
        ((quiet >= 4)) && return
        before=$now
        sleep 0.5
    done
    fail "after $catch_up_seconds_max s there are still $open bytes to deliver"
}

port=$(free_port)
cat >"$scratch/demo.yaml" <<YAML
apiVersion: logferry.dev/v1alpha1
kind: Agent
metadata: {name: agent}
spec:
  stateDirectory: $scratch/state
  listen: 127.0.0.1:$port
  nodeName: demo
  log: {level: warn}
---
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec:
  queue: {path: $scratch/queue}
---
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata: {name: all-containers}
spec:
  source:
    containers: {root: $scratch/pods}
YAML
mkdir "$scratch/pods"

say "1. The configuration ($scratch/demo.yaml)"
cat "$scratch/demo.yaml"
"$bin/logferry" check -f "$scratch/demo.yaml" >/dev/null || fail "logferry check"

say "2. $pods pods write $rate/s in containerd's format for $load_seconds s; files rotate at 4 MiB as the kubelet does it"
# A rotated file is written to for another 50 ms: the container keeps its descriptor that long.
"$bin/loggen" --shape nginx --format cri --pods --files "$pods" --stderr 0.05 --clock wall \
    --rate "$rate" --seconds "$load_seconds" --rotate 4MiB --keep 5 --late-ms 50 \
    --out "$scratch/pods" --truth "$scratch/truth.jsonl" 2>"$scratch/loggen.log" &
load_pid=$!
start_agent
nap $((load_seconds / 2))

say "3. kill -9: the agent is gone in the middle of it; the pods write on; a second later it starts again"
kill -KILL "$agent_pid"
wait "$agent_pid" 2>/dev/null || true
agent_pid=
sleep 1
start_agent

wait "$load_pid" || fail "loggen: $(cat "$scratch/loggen.log")"
load_pid=
say "4. The pods are done: $(cat "$scratch/loggen.log"). Waiting until all of it is in the queue"
wait_until_delivered
kill -TERM "$agent_pid"
wait "$agent_pid" || fail "the agent did not stop in good order (exit code $?)"
agent_pid=

say "5. What is in the queue: logferry tail -n 3"
"$bin/logferry" tail --queue "$scratch/queue" -n 3 | cut -c 1-160

say "6. Proof from the queue alone, by cursors: logferry audit"
"$bin/logferry" audit --queue "$scratch/queue" | tee "$scratch/audit.txt" \
    || fail "logferry audit found loss, doubles or disorder"
[[ -s $scratch/audit.txt ]] || fail "logferry audit said nothing"

say "7. Proof from content: logferry tail --all --output json | logcheck, against what loggen wrote"
"$bin/logferry" tail --queue "$scratch/queue" --all --output json \
    | "$bin/logcheck" --truth "$scratch/truth.jsonl" || fail "logcheck: not every line arrived once, whole and in order"

say "Done: nothing lost, nothing doubled, with a kill -9 in between. Next, the real logs of this node:"
cat <<TEXT
  $bin/logferry check -f deploy/examples/minimal.yaml    # says what it would do
  $bin/logferry run   -f deploy/examples/minimal.yaml    # /var/log/pods into /var/lib/logferry/queue
  $bin/logferry tail  -f deploy/examples/minimal.yaml -F # what arrives
Sinks: queue (embedded), Kafka (make kafka), file, stdout, blackhole.
TEXT
