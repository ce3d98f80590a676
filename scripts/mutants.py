#!/usr/bin/env python3
"""Runs the tests with each known bug switched on, and fails unless every one is caught.

Each bug stands in the code as `is_mutant("name")`. First the simulator has its turn, with SEEDS seeds of CASES
schedules of each kind; what it does not catch with the first must be caught by a test of a crate, beginning with the
crate that the bug is in. Before, all tests run without any bug: they must pass, or they would catch everything.

usage: scripts/mutants.py [--model] [--part N/M] [name...]

With names only those are run; with `--part 2/4` the second of four parts of the list, so that parts can run one after
the other or on several machines; with `--model` only the tests of crates/model, for which that is the whole list of
bugs in what threads share. Prints a table for docs/PROOF.md.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")
SEEDS = 3
CASES = 1000
# Where each crate's code and tests are.
FOLDERS = {
    "logferry-sim": "crates/sim", "logferry-pipeline": "crates/pipeline", "logferry-flow": "crates/flow",
    "logferry-sink": "sink", "logferry-model": "crates/model",
}
# Code that the simulator has something else for: no schedule can catch what is wrong there.
NOT_SIMULATED = ("sink/src/queue",)
# Longest that one test program may take; one that hangs catches nothing.
TIMEOUT_SECONDS = 300
# Bugs in what threads share: the model must catch each, whatever else does.
SHARED = [
    "reader_sleeps_without_a_second_look", "doorbell_orders_nothing", "discovery_woken_before_the_question",
    "shipper_woken_before_the_push", "full_lane_drops", "lane_made_after_the_look",
    "pool_taken_after_the_look", "buffer_kept_after_the_look", "count_read_then_written",
    "pins_summed_outside_the_lock", "dropped_ticket_is_delivered", "unheard_ticket_not_counted",
    "written_counted_as_safe", "failed_sync_ignored", "tenant_made_after_the_look",
    "tokens_taken_after_the_look", "health_not_asked_under_the_lock", "dirty_without_the_lock", "sync_thread_not_told_to_end",
]


def all_mutants():
    """Each mutant and the first file that it is in, in the order of the files."""
    found = {}
    for path in sorted(ROOT.glob("**/src/**/*.rs")):
        if "target" not in path.parts:
            for name in re.findall(r'is_mutant\("([a-z_]+)"\)', path.read_text()):
                found.setdefault(name, str(path.relative_to(ROOT)))
    return found


def programs(packages):
    """The test programs of these packages, with the bugs in them: (folder of the crate, path)."""
    command = [CARGO, "test", "--profile", "sim", "--locked", "--no-run", "--message-format=json"]
    command += ["--target-dir", str(ROOT / "target" / "mutants")]
    command += ["--features", "logferry-flow/mutants"]
    command += [option for package in packages for option in ("--package", package)]
    output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    found = []
    for line in output.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            folder = Path(message["manifest_path"]).parent.relative_to(ROOT)
            found.append((str(folder), message["executable"]))
    return found


def run(program, folder, mutant, seed):
    """The first test that failed and after how many seconds; or None."""
    environment = dict(os.environ, LOGFERRY_MUTANT=mutant, SIM_CASES=str(CASES), SIM_SEED=str(seed))
    environment.update(SIM_SHRINK="0", RUST_BACKTRACE="0")
    start = time.monotonic()
    process = subprocess.Popen(
        [program], cwd=ROOT / folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    timer = threading.Timer(TIMEOUT_SECONDS, process.kill)
    timer.start()
    caught = None
    try:
        for line in process.stdout:
            match = re.match(r"test (\S+) \.\.\. FAILED", line)
            if match:
                caught = match.group(1), time.monotonic() - start
                break
        else:
            code = process.wait()
            if time.monotonic() - start >= TIMEOUT_SECONDS:
                print(f"{mutant}: {Path(program).name}: not done in {TIMEOUT_SECONDS} s", file=sys.stderr)
            elif code != 0:
                caught = "the test program died", time.monotonic() - start
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    return caught


def by_simulator(simulator, mutant):
    """The test of the simulator that caught it, and the median of the seeds that did; or an empty name."""
    folder, path = simulator
    first = run(path, folder, mutant, 1)
    if not first:
        return "", 0.0
    results = [first] + [run(path, folder, mutant, seed) for seed in range(2, SEEDS + 1)]
    caught = [it for it in results if it]
    with_some = "" if len(caught) == SEEDS else f", with {len(caught)} of {SEEDS} seeds"
    return first[0] + with_some, statistics.median(it[1] for it in caught)


def by_others(others, mutant, home):
    """The first test of a crate that catches it, and after how many seconds; or an empty name."""
    for folder, path in sorted(others, key=lambda it: not home.startswith(it[0] + "/")):
        result = run(path, folder, mutant, 1)
        if result:
            return f"{folder.split('/')[-1]}: {result[0]}", result[1]
    return "", 0.0


def wanted(options):
    """The names to run: those that were given, or all; and of these the part."""
    names = options.names or (SHARED if options.model else list(all_mutants()))
    unknown = set(names) - set(all_mutants())
    if unknown:
        sys.exit("no such mutants: " + ", ".join(sorted(unknown)))
    try:
        part, parts = map(int, options.part.split("/"))
        names = names[len(names) * (part - 1) // parts:len(names) * part // parts]
    except (ValueError, ZeroDivisionError):
        sys.exit(f"--part {options.part}: is no N/M, such as 2/4")
    return names


def main():
    parser = argparse.ArgumentParser(description="Runs the tests with each known bug switched on.")
    parser.add_argument("--model", action="store_true", help="only the tests of crates/model")
    parser.add_argument("--part", default="1/1", help="N/M: only the N-th of M parts of the list")
    parser.add_argument("names", nargs="*", help="only these")
    options = parser.parse_args()
    names, files, begun = wanted(options), all_mutants(), time.monotonic()
    tests = programs(["logferry-model"] if options.model else FOLDERS)
    for folder, path in tests:
        clean = run(path, folder, "none", 1)
        if clean:
            sys.exit(f"{folder}: {clean[0]} fails without any mutant")
    simulator = next((it for it in tests if it[0] == "crates/sim" and "/it-" in it[1]), None)
    others = [it for it in tests if it != simulator]
    print("| mutant | caught by | seconds |\n|---|---|--:|")
    survived = []
    for mutant in names:
        home, by = files[mutant], ""
        if simulator and not home.startswith(NOT_SIMULATED):
            by, seconds = by_simulator(simulator, mutant)
        if not by:
            by, seconds = by_others(others, mutant, home)
        if not by:
            survived.append(mutant)
        print(f"| `{mutant}` | {'**survives**' if not by else '`' + by + '`'} | {seconds:.1f} |", flush=True)
    print(f"\n{len(names) - len(survived)} of {len(names)} mutants caught, in {time.monotonic() - begun:.0f} s")
    if survived:
        sys.exit("survived: " + ", ".join(survived))


if __name__ == "__main__":
    main()
