#!/usr/bin/env python3
"""Runs the tests with each known bug switched on, and fails unless every one is caught.

Each bug stands in the code as `is_mutant("name")`. First the simulator has its turn, with SEEDS
seeds of CASES schedules of each kind; what it does not catch must be caught by a test of the crate.
With names as arguments only those are run, and with `--model` only the tests of crates/model, for
which that is the whole list of bugs in what threads share. Prints a table for docs/PROOF.md.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")
SEEDS = 3
CASES = 4000
PACKAGES = ["logferry-sim", "logferry-pipeline", "logferry-flow", "logferry-sink", "logferry-model"]
TIMEOUT_SECONDS = 120
# Bugs in what threads share: the model must catch each, whatever else does.
SHARED = [
    "reader_sleeps_without_a_second_look", "doorbell_orders_nothing", "discovery_woken_before_the_question",
    "shipper_woken_before_the_push", "full_lane_drops", "lane_made_after_the_look",
    "pool_taken_after_the_look", "buffer_kept_after_the_look", "count_read_then_written",
    "pins_summed_outside_the_lock", "dropped_ticket_is_delivered", "unheard_ticket_not_counted",
    "written_counted_as_safe", "failed_sync_ignored", "tenant_made_after_the_look",
    "tokens_taken_after_the_look", "health_not_asked_under_the_lock", "dirty_without_the_lock", "sync_thread_not_told_to_end",
]


def names():
    """All mutants, in the order of the files that they are in."""
    found = []
    for path in sorted(ROOT.glob("**/src/**/*.rs")):
        if "target" not in path.parts:
            found += re.findall(r'is_mutant\("([a-z_]+)"\)', path.read_text())
    return list(dict.fromkeys(found))


def programs(packages):
    """The test programs of these packages, with the bugs in them: (package, path)."""
    command = [CARGO, "test", "--release", "--locked", "--no-run", "--message-format=json"]
    command += ["--target-dir", str(ROOT / "target" / "mutants")]
    command += ["--features", "logferry-flow/mutants"]
    command += [option for package in packages for option in ("--package", package)]
    output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    found = []
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            package = message["manifest_path"].split("/")[-2]
            found.append((package, message["executable"]))
    return found


def run(program, directory, mutant, seed):
    """The first test that failed and after how many seconds; or None."""
    environment = dict(os.environ, LOGFERRY_MUTANT=mutant, SIM_CASES=str(CASES), SIM_SEED=str(seed))
    environment.update(SIM_SHRINK="0", RUST_BACKTRACE="0")
    start = time.monotonic()
    command = [program]
    process = subprocess.Popen(
        command, cwd=directory, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    caught = None
    try:
        for line in process.stdout:
            match = re.match(r"test (\S+) \.\.\. FAILED", line)
            if match:
                caught = match.group(1), time.monotonic() - start
                break
            if time.monotonic() - start > TIMEOUT_SECONDS:
                break
        else:
            if process.wait() != 0:
                caught = "the test program died", time.monotonic() - start
    finally:
        process.kill()
        process.wait()
    return caught


def main():
    wanted = [name for name in sys.argv[1:] if name != "--model"]
    is_model = "--model" in sys.argv
    tests = programs(["logferry-model"] if is_model else PACKAGES)
    if is_model:
        wanted = wanted or SHARED
        simulator, others = None, tests
    else:
        wanted = wanted or names()
        simulator = [path for package, path in tests if package == "sim" and "/it-" in path][0]
        others = [(package, path) for package, path in tests if path != simulator]
        clean = run(simulator, ROOT / "crates/sim", "none", 1)
        if clean:
            sys.exit(f"{clean[0]} fails without any mutant")
    print("| mutant | caught by | median s |\n|---|---|--:|")
    survived = []
    for mutant in wanted:
        caught = [] if is_model else by_simulator(simulator, mutant)
        by, seconds = "", 0.0
        if len(caught) == SEEDS:
            by = caught[0][0]
            seconds = statistics.median(it[1] for it in caught)
        else:
            by, seconds = by_others(others, mutant)
            if not by and caught:
                by = f"{caught[0][0]}, with {len(caught)} of {SEEDS} seeds"
                seconds = statistics.median(it[1] for it in caught)
        if not by:
            survived.append(mutant)
        print(f"| `{mutant}` | {'**survives**' if not by else '`' + by + '`'} | {seconds:.1f} |", flush=True)
    total = len(wanted)
    print(f"\n{total - len(survived)} of {total} mutants caught")
    if survived:
        sys.exit("survived: " + ", ".join(survived))


def by_simulator(simulator, mutant):
    """What the simulator caught it with, for each seed that did."""
    results = [run(simulator, ROOT / "crates/sim", mutant, seed) for seed in range(1, SEEDS + 1)]
    return [it for it in results if it]


def by_others(others, mutant):
    """The first test of a crate that catches it, and after how many seconds; or an empty name."""
    for package, path in others:
        folder = ROOT / ("sink" if package == "sink" else f"crates/{package}")
        result = run(path, folder, mutant, 1)
        if result:
            return f"{package}: {result[0]}", result[1]
    return "", 0.0


if __name__ == "__main__":
    main()
