#!/usr/bin/env python3
"""Runs the tests with each known bug switched on, and fails unless every one is caught.

Each bug stands in the code as `is_mutant("name")`. First the simulator has its turn, with SEEDS
seeds of CASES schedules of each kind; what it does not catch must be caught by a test of the crate.
With names as arguments only those are run. Prints a table for docs/PROOF.md.
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
PACKAGES = ["logferry-sim", "logferry-pipeline", "logferry-flow", "logferry-sink"]
TIMEOUT_SECONDS = 120


def names():
    """All mutants, in the order of the files that they are in."""
    found = []
    for path in sorted(ROOT.glob("**/src/**/*.rs")):
        if "target" not in path.parts:
            found += re.findall(r'is_mutant\("([a-z_]+)"\)', path.read_text())
    return list(dict.fromkeys(found))


def programs():
    """The test programs, with the bugs in them: (package, path)."""
    command = [CARGO, "test", "--release", "--locked", "--no-run", "--message-format=json"]
    command += ["--target-dir", str(ROOT / "target" / "mutants")]
    command += ["--features", "logferry-flow/mutants"]
    command += [option for package in PACKAGES for option in ("--package", package)]
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
    wanted = sys.argv[1:] or names()
    tests = programs()
    simulator = [path for package, path in tests if package == "sim" and "/it-" in path][0]
    others = [(package, path) for package, path in tests if path != simulator]
    clean = run(simulator, ROOT / "crates/sim", "none", 1)
    if clean:
        sys.exit(f"{clean[0]} fails without any mutant")
    print("| mutant | caught by | median s |\n|---|---|--:|")
    survived = []
    for mutant in wanted:
        results = [run(simulator, ROOT / "crates/sim", mutant, seed) for seed in range(1, SEEDS + 1)]
        caught = [it for it in results if it]
        by, seconds = "", 0.0
        if len(caught) == SEEDS:
            by = caught[0][0]
            seconds = statistics.median(it[1] for it in caught)
        else:
            for package, path in others:
                folder = ROOT / ("sink" if package == "sink" else f"crates/{package}")
                result = run(path, folder, mutant, 1)
                if result:
                    by, seconds = f"{package}: {result[0]}", result[1]
                    break
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


if __name__ == "__main__":
    main()
