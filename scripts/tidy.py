#!/usr/bin/env python3
"""Tidy: the rules of the house that no compiler checks. Prints every breach; exit code 1 if any.

Arrows between crates (ARCHITECTURE.md), sizes and names of files, markers of unfinished work, links
of documents, and that each test that a document names is there.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Which of our crates a crate may depend on; ARCHITECTURE.md has the reasons.
ARROWS = {
    "logferry": {"logferry-aliyun", "logferry-crd", "logferry-cri-watch", "logferry-flow", "logferry-kube-watch", "logferry-pipeline",
                 "logferry-sink"},
    "logferry-cri": set(),
    "logferry-cri-watch": {"logferry-cri"},
    "logferry-flow": set(),
    "logferry-logdisk": {"logferry-flow", "logferry-pipeline"},
    "logferry-pipeline": {"logferry-flow"},
    "logferry-sim": {"logferry-flow", "logferry-pipeline", "logferry-sink"},
    "logferry-model": {"logferry-flow"},
    "logferry-sink": {"logferry-flow"},
    "logferry-crd": set(),
    "logferry-operator": {"logferry-aliyun", "logferry-crd", "logferry-flow", "logferry-kube-watch"},
    "logferry-aliyun": {"logferry-crd"},
    "logferry-test-kit": set(),
    "logferry-kafka-kit": {"logferry-test-kit"},
    "logferry-node-kit": {"logferry-cri", "logferry-test-kit"},
    "logferry-kube-kit": set(),
    "logferry-kube-watch": {"logferry-flow"},
    "logferry-benches": None,  # anything
    "logferry-fuzz": {"logferry-crd", "logferry-flow", "logferry-pipeline", "logferry-sim", "logferry-sink"},
}
# Which it may depend on in its tests, beside these.
TEST_ARROWS = {
    "logferry": {"logferry-benches", "logferry-kafka-kit", "logferry-kube-kit", "logferry-node-kit"},
    "logferry-cri-watch": {"logferry-flow"},
    "logferry-kube-watch": {"logferry-kube-kit"},
    "logferry-logdisk": {"logferry-cri", "logferry-test-kit"},
    "logferry-operator": {"logferry-node-kit", "logferry-test-kit"},
    "logferry-sink": {"logferry-kafka-kit"},
}
# What must not get into the data plane and its vocabulary: no runtime, no HTTP, no Kubernetes.
FOREIGN = {
    "logferry-flow": {"tokio", "axum", "hyper", "kube", "k8s-openapi"},
    "logferry-pipeline": {"tokio", "axum", "hyper", "kube", "k8s-openapi"},
}
# Lines of code above `mod tests`; STYLE: 250 is normal, 400 the ceiling.
CODE_LINES_MAX = 400
BAD_NAMES = {"mod.rs", *(f"{name}.rs" for name in ("util", "utils", "common", "helper", "helpers"))}
MARKERS = re.compile(r"\b(?:todo|unimplemented|dbg)!|\b(?:TODO|FIXME|XXX)\b|//! to be written")
# Written by `make bench`; not there before the first run.
WRITTEN_LATER = {"benches/RESULTS.md"}

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.M | re.S)
CODE_SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+")
# Documents that name tests as `fn_names`, in the last column of tables.
NAMES_TESTS = {"docs/KAFKA.md", "docs/SEMANTICS.md"}
TEST_FN = re.compile(r"^\s*(?:async )?fn ([a-z0-9_]+)", re.M)

problems = []


def problem(place, what):
    problems.append(f"{place}: {what}")


def tracked():
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    return [path for path in sorted(listing.split("\0")) if path and (ROOT / path).is_file()]


def check_arrows():
    metadata = json.loads(subprocess.run(
        ["cargo", "metadata", "--no-deps", "--locked", "--format-version", "1"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout)
    packages = {package["name"]: package for package in metadata["packages"]}
    for name, package in packages.items():
        if name not in ARROWS:
            problem(name, "crate without a rule; add it to ARCHITECTURE.md and to ARROWS in scripts/tidy.py")
            continue
        for dependency in package["dependencies"]:
            other, is_test = dependency["name"], dependency["kind"] == "dev"
            allowed = ARROWS[name]
            if is_test and other in TEST_ARROWS.get(name, ()):
                continue
            if other in packages and allowed is not None and other not in allowed:
                problem(name, f"depends on {other}, which ARCHITECTURE.md does not allow")
            if other in FOREIGN.get(name, ()):
                problem(name, f"depends on {other}, which has no place in the data plane")


def code_lines(text):
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("mod tests {"):
            return number
    return len(lines)


def check_code(path, text):
    name = Path(path).name
    if name in BAD_NAMES:
        problem(path, "this name says nothing; name the file after the thing it holds")
    is_test = name == "tests.rs" or "/tests/" in path
    lines = code_lines(text)
    if not is_test and lines > CODE_LINES_MAX:
        problem(path, f"{lines} lines of code; at most {CODE_LINES_MAX}: split it by idea")


def check_markers(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if found := MARKERS.search(line):
            problem(f"{path}:{number}", f"left behind: {found.group()}")


def anchors(text):
    headings = re.findall(r"^#+ (.+?)\s*$", CODE_BLOCK.sub("", text), re.M)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {word.replace(" ", "-") for word in words}


def check_links(path, text, top_level):
    prose = CODE_BLOCK.sub("", text)
    for target in LINK.findall(prose):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (ROOT / path).parent / file if file else ROOT / path
        if not linked.exists():
            if str(linked.resolve().relative_to(ROOT)) not in WRITTEN_LATER:
                problem(path, f"link to {target}: no such file")
        elif anchor and anchor not in anchors(linked.read_text()):
            problem(path, f"link to {target}: no such heading")
    for span in CODE_SPAN.findall(prose):
        # Only what is a path from the top, such as `docs/FORMAT.md`.
        if PATH.fullmatch(span) and span.split("/")[0] in top_level and span not in WRITTEN_LATER:
            if not (ROOT / span).exists():
                problem(path, f"`{span}`: no such file")


def check_named_documents(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        for name in re.findall(r"\bdocs/[A-Z]+\.md\b", line):
            if not (ROOT / name).exists():
                problem(f"{path}:{number}", f"{name}: no such file")


def check_named_tests(path, text, tests):
    for line in text.splitlines():
        if not line.startswith("|"):
            continue
        for name in CODE_SPAN.findall(line.strip("| ").split("|")[-1]):
            if name not in tests:
                problem(path, f"`{name}`: no test of this name")


def main():
    check_arrows()
    paths = tracked()
    texts = {}
    for path in paths:
        if Path(path).suffix in {".rs", ".md", ".sh", ".toml", ".yaml", ".yml"}:
            texts[path] = (ROOT / path).read_text(errors="replace")
    code = {path: text for path, text in texts.items() if path.endswith(".rs")}
    tests = {name for text in code.values() for name in TEST_FN.findall(text)}
    top_level = {path.split("/")[0] for path in paths if "/" in path}
    for path, text in texts.items():
        check_markers(path, text)
        if path in code:
            check_code(path, text)
            check_named_documents(path, text)
        if path.endswith(".md"):
            check_links(path, text, top_level)
    for path in sorted(NAMES_TESTS & texts.keys()):
        check_named_tests(path, texts[path], tests)
    for line in problems:
        print(f"tidy: {line}", file=sys.stderr)
    count = f"{len(problems)} problems" if len(problems) != 1 else "1 problem"
    print(f"tidy: {len(paths)} files, {count}")
    return 1 if problems else 0


sys.exit(main())
