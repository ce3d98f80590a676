#!/usr/bin/env python3
"""Names the tests that failed in a log of `cargo test`, and how often each is worth to be run again.

usage: scripts/again.py LOG

Prints a line a test, its runs and its name. Once for a wait that ended ("not within 60 s"): a busy machine is late with
everything. Three times for any other failure, which such a machine alone rarely makes: a test that fails for sure does
so again, and one that fails by chance has to pass three times, and is named. More of these than `UNSTEADY_MAX` are no
chance. Exit code 1, and no name, if there are more, or if something failed that is no test.
"""

import re
import sys
from pathlib import Path

# Most tests that may have failed otherwise than by being late.
UNSTEADY_MAX = 2


def tests_to_run(log: str) -> list[tuple[int, str]]:
    failed = re.findall(r"^test (\S+) \.\.\. FAILED$", log, re.M)
    said = dict(re.findall(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^failures:)", log, re.M | re.S))
    counts = re.findall(r"^test result: FAILED\. \d+ passed; (\d+) failed", log, re.M)
    # A program of tests that was killed has no result, and what is no test has no name.
    is_told = len(counts) == len(re.findall(r"^error: (?:doc)?test failed", log, re.M))
    is_named = sum(map(int, counts)) == len(failed)
    runs = sorted({(1 if "not within" in said.get(name, "") else 3, name) for name in failed})
    is_chance = sum(count > 1 for count, _ in runs) <= UNSTEADY_MAX
    return runs if is_told and is_named and is_chance else []


def main() -> int:
    runs = tests_to_run(Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace"))
    for count, name in runs:
        print(count, name)
    return 0 if runs else 1


if __name__ == "__main__":
    sys.exit(main())
