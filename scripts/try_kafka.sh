#!/usr/bin/env bash
# Runs the test broker with a topic, and a load beside it, for the agent to be tried by hand. Until Ctrl-C.
#
# usage: scripts/try_kafka.sh FOLDER_OF_PROGRAMS BROKER_PROGRAM FOLDER
#
# FOLDER is made anew: agent.yaml, logs, and the agent's state. It stays, the broker's data does not.
set -euo pipefail

bin=$1 broker=$2 folder=$3
address=127.0.0.1:19092
topic=logs
ready_seconds_max=120

rm -rf "$folder"
mkdir -p "$folder/logs"
folder=$(cd "$folder" && pwd)
mkfifo "$folder/stop"

broker_pid=
load_pid=
clean_up() {
    # The broker ends when its input does.
    exec 8>&- || true
    [[ -z $load_pid ]] || kill -TERM "$load_pid" 2>/dev/null || true
    wait
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() {
    echo "kafka: $*" >&2
    exit 1
}

cat >"$folder/agent.yaml" <<YAML
apiVersion: logferry.dev/v1alpha1
kind: Agent
metadata: {name: agent}
spec: {stateDirectory: '$folder/state'}
---
apiVersion: logferry.dev/v1alpha1
kind: LogSink
metadata: {name: default}
spec:
  kafka: {brokers: ['$address'], topic: $topic}
---
apiVersion: logferry.dev/v1alpha1
kind: LogConfig
metadata: {name: files}
spec:
  source:
    files: {include: ['$folder/logs/*.log']}
YAML

# Reading and writing, so that neither end waits for the other.
exec 8<>"$folder/stop"
# In a session of its own: what a terminal sends to all must not keep it from clearing up.
setsid "$broker" "$address" "$topic" <"$folder/stop" >"$folder/broker.log" 2>&1 8>&- &
broker_pid=$!
tenths=0
until grep -qs '^PLAIN: ' "$folder/broker.log"; do
    kill -0 "$broker_pid" 2>/dev/null || fail "$(cat "$folder/broker.log")"
    ((++tenths <= ready_seconds_max * 10)) || fail "no broker within $ready_seconds_max s"
    sleep 0.1
done
"$bin/loggen" --files 3 --rate 1MB --control --rotate 4MiB --clock wall \
    --out "$folder/logs" 2>"$folder/loggen.log" 8>&- &
load_pid=$!

cat <<TEXT
kafka: ready: broker $address, topic $topic; 1 MB/s into $folder/logs. Ctrl-C ends it. Next, elsewhere:

    $bin/logferry run -f ${folder#"$PWD/"}/agent.yaml --progress
    $bin/logferry audit --kafka $address --topic $topic

TEXT
wait "$load_pid"
