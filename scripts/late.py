#!/usr/bin/env python3
"""Names the tests that failed in a log of `cargo test`, if each of them only waited too long.

usage: scripts/late.py LOG

A wait that ended ("not within 60 s") may be the doing of a busy machine; a wrong result never is. Exit code 1, and no
name, if any test failed otherwise, or if something failed that is no test.
"""

import re
import sys
from pathlib import Path


def late_tests(log: str) -> list[str]:
    failed = re.findall(r"^test (\S+) \.\.\. FAILED$", log, re.M)
    said = dict(re.findall(r"^---- (\S+) stdout ----\n(.*?)(?=^---- |^failures:)", log, re.M | re.S))
    counts = re.findall(r"^test result: FAILED\. \d+ passed; (\d+) failed", log, re.M)
    # A program of tests that was killed has no result, and what is no test has no name.
    is_told = len(counts) == len(re.findall(r"^error: (?:doc)?test failed", log, re.M))
    is_named = sum(map(int, counts)) == len(failed)
    is_late = all("not within" in said.get(name, "") for name in failed)
    return sorted(set(failed)) if is_told and is_named and is_late else []


def main() -> int:
    names = late_tests(Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace"))
    print("\n".join(names))
    return 0 if names else 1


if __name__ == "__main__":
    sys.exit(main())
